"""The changes of a volume are one value, and one transaction."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import repository
from archives import export_json
from factories import MadeUpExporter, World, file, things, world
from sqlalchemy import Table, select

from portability.api import Gap
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import DatabaseUnavailable
from portability.requests import retries
from worker.claim import fenced_writes
from worker.export import advance

pytestmark = pytest.mark.slow

LAST_WRITES: Mapping[str, Mapping[str, Any]] = {
    # What the transaction writes last, by what follows the volume, and where such a volume comes from.
    "settle": {"volume_bytes": 65_536},
    "end_locked": {},
}
TABLES = (models.volume, models.ledger, models.gap, models.slice, models.export)


def source() -> MadeUpExporter:
    """Has a file of its own for each of two volumes of 64 KiB, and a gap."""
    files = {number: [file(f"{number}.wav", secrets.token_bytes(60_000))] for number in range(2)}
    return MadeUpExporter(things(9), files=files, gaps={0: [Gap("what was lost", "missing")]})


def rows_of(made: World, table: Table) -> list[Mapping[str, Any]]:
    """Without what every claim changes, and without what says why a volume failed."""
    changing = {"fence", "attempts", "lease_until", "claimed_at", "not_before", "owner", "progress"}
    left_out = {*changing, "error_code", "error_message", "state", "upload_id"}
    with reading(made.engine) as connection:
        rows = connection.execute(select(table)).mappings().all()
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


@pytest.mark.parametrize(("last_write", "limits"), LAST_WRITES.items(), ids=list(LAST_WRITES))
def test_a_volume_is_committed_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_write: str, limits: Mapping[str, Any]
) -> None:
    """The database goes away at the last write of a commit: no volume, line, gap or position has changed."""
    made = world(tmp_path, {"made": source()}, **limits)
    identifier = made.request()
    claim = made.claim()
    assert claim is not None
    before: dict[str, list[Mapping[str, Any]]] = {}
    with monkeypatch.context() as patch:
        patch.setattr(fenced_writes, last_write, _away(made, before))
        advance(made.place, claim)
    assert {table.name: rows_of(made, table) for table in TABLES} == before
    assert before["gap"] == []
    assert made.view(identifier)["volumes"] == []


def _away(made: World, before: dict[str, list[Mapping[str, Any]]]) -> Callable[..., None]:
    def away(*_args: object, **_values: object) -> None:
        # Another connection sees what is committed, and nothing of the transaction that is about to end.
        before.update({table.name: rows_of(made, table) for table in TABLES})
        raise DatabaseUnavailable("away")

    return away


def test_the_closing_document_says_what_the_commit_writes(tmp_path: Path) -> None:
    """The counts and gaps of export.json are those of the database, also after a retry that fills and finds gaps."""
    made = world(tmp_path, {"made": source()})
    identifier = made.request()
    for revision in (1, 2):
        made.advance_all()
        document = export_json(made.fetch(identifier))
        (line,) = rows_of(made, models.ledger)
        assert document["revision"] == revision
        assert {name: document["datasets"][0][name] for name in ("records", "files", "bytes", "gaps")} == {
            name: line[name] for name in ("records", "files", "bytes", "gaps")
        }
        names = ("volume", "exporter", "dataset", "what", "reason", "retryable")
        gaps = [{name: gap[name] for name in names} for gap in rows_of(made, models.gap)]
        assert [{name: gap[name] for name in names} for gap in document["gaps"]] == gaps
        assert [gap["volume"] for gap in gaps] == [1]  # it stays open: nothing of it was delivered
        if revision == 1:
            with writing(made.engine) as connection:
                retries.retry_gaps(connection, identifier, actor="operator:test")


@pytest.mark.parametrize("write", [r"store_volume\(connection, VOLUME", r"ledger\.add\("])
def test_only_the_commit_writes_what_a_volume_changes(write: str) -> None:
    """A stored volume's row, its lines and its gaps have one writer in the product."""
    writers = [
        path.relative_to(repository.ROOT).as_posix()
        for package in repository.PACKAGES
        for path in repository.files("*.py", below=repository.ROOT / package)
        if re.search(write, path.read_text())
    ]
    assert writers == ["worker/close/commit.py"]
