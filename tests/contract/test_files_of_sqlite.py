"""A SQLite source is a file: what happens to it while workers have it open, and what SQLite needs to read it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_sources

from exporters.sql.faults import source_error
from exporters.sql.mapped.exporter import MappedExporter
from portability.api import JSON, Selection, SubjectKind
from portability.api.errors import SourceError, SourceRefused, SourceUnavailable
from portability.database import engine
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
OpenFile: TypeAlias = Callable[[Path], MappedExporter]


def made_file(path: Path, ids: range) -> Path:
    """Make a database with a row for each id."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table orders (id integer primary key, who text)")
        connection.executemany("insert into orders values (?, 'ann')", [(number,) for number in ids])
    return path


def ids_of(exporter: MappedExporter) -> list[JSON]:
    batches = exporter.export(ANN, exporter.datasets[0], Selection())
    return [record["id"] for batch in batches for record in batch.records]


@pytest.fixture
def open_file() -> Iterator[OpenFile]:
    """Returns the exporter of a file, whose connections stay open as those of a worker."""
    with mapped_sources() as open_mapped:
        yield lambda path: open_mapped(f"sqlite:///{path}", ROWS)


def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path, open_file: OpenFile) -> None:
    """A company puts a new copy into its place every night: a worker reads this file, also in a running export."""
    path = made_file(tmp_path / "shop.db", range(100))
    exporter = open_file(path)
    running = exporter.export(ANN, exporter.datasets[0], Selection())
    seen = [record["id"] for record in next(running).records]

    made_file(tmp_path / "next.db", range(50, 150)).rename(path)
    seen += [record["id"] for batch in running for record in batch.records]

    assert seen == list(range(150))
    assert ids_of(exporter) == list(range(50, 150))


def test_a_file_that_is_gone_is_not_read(tmp_path: Path, open_file: OpenFile) -> None:
    """The open file still has its rows, which may no longer be those of the company."""
    exporter = open_file(made_file(tmp_path / "shop.db", range(3)))
    assert ids_of(exporter) == [0, 1, 2]

    (tmp_path / "shop.db").unlink()
    with pytest.raises(SourceUnavailable, match="SQLITE_CANTOPEN"):
        ids_of(exporter)
    made_file(tmp_path / "shop.db", range(4))
    assert ids_of(exporter) == [0, 1, 2, 3]


def break_page(path: Path) -> None:
    made_file(path, range(20_000))
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(bytes(4096))


def write_text(path: Path) -> None:
    path.write_text("id,who\n" * 1_000)


UNREADABLE = (
    (break_page, SourceRefused, "SQLITE_CORRUPT", "integrity_check"),
    (write_text, SourceRefused, "SQLITE_NOTADB", "something else"),
    (Path.mkdir, SourceUnavailable, "SQLITE_CANTOPEN", "may not open it"),
)


@pytest.mark.parametrize(("make", "kind", "code", "hint"), UNREADABLE)
def test_an_error_says_what_sqlite_needs(
    tmp_path: Path, open_file: OpenFile, make: Callable[[Path], None], kind: type[SourceError], code: str, hint: str
) -> None:
    """It is never the right to SELECT: a file has no accounts."""
    make(tmp_path / "shop.db")
    with pytest.raises(kind, match=code) as refused:
        ids_of(open_file(tmp_path / "shop.db"))

    assert hint in refused.value.hint
    assert "SELECT" not in refused.value.hint


@pytest.mark.parametrize("name", ["SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_ROLLBACK"])
def test_an_error_says_where_sqlite_must_write(name: str) -> None:
    """It makes a file beside one in WAL mode, and repairs one that was not closed, even to read it."""
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorname = name

    assert source_error(error, "orders").hint.startswith("SQLite must write beside a file in WAL mode")


def test_a_locked_file_is_read_later(tmp_path: Path, open_file: OpenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that writes has it for itself; the export is retried, and the hint says why."""
    monkeypatch.setattr(engine, "READ_ONLY_SQLITE", ("busy_timeout=10", "query_only=ON"))
    path = made_file(tmp_path / "shop.db", range(3))
    exporter = open_file(path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("begin exclusive")
        with pytest.raises(SourceUnavailable, match="SQLITE_BUSY") as refused:
            ids_of(exporter)

    assert refused.value.hint == "another program has locked the file"
    assert ids_of(exporter) == [0, 1, 2]
