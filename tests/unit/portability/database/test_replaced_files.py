"""A file of the control database that is replaced or deleted under a process: nothing is written where no one reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from portability.database.engine import open_engine, reading, writing
from portability.errors import DatabaseUnavailable

ROWS = text("SELECT x FROM t ORDER BY x")


def add_row(engine: Engine, number: int) -> None:
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (:number)"), {"number": number})


def rows_seen(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return list(connection.scalars(ROWS))


def put_backup(path: Path) -> None:
    """What `mv` of a backup does."""
    shutil.copy(path, path.with_name("backup.sqlite"))
    path.with_name("backup.sqlite").rename(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "control.sqlite"
    engine = open_engine(f"sqlite:///{path}")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    add_row(engine, 1)
    engine.dispose()
    return path


@pytest.mark.parametrize(("end", "seen"), [(put_backup, "was replaced"), (Path.unlink, "was deleted")])
def test_a_process_stops_at_a_file_that_has_gone(path: Path, end: Callable[[Path], None], seen: str) -> None:
    """It would write into a file without a name, and say that all is well; another start reads the new file."""
    engine = open_engine(f"sqlite:///{path}")
    assert rows_seen(engine) == [1]
    end(path)

    for act in (lambda: add_row(engine, 2), lambda: rows_seen(engine)):
        with pytest.raises(DatabaseUnavailable, match=seen) as raised:
            act()
        assert "-wal" in (raised.value.hint or "")
    engine.dispose()
    with pytest.raises(DatabaseUnavailable, match=seen):
        rows_seen(engine)


def test_another_start_reads_the_new_file(path: Path) -> None:
    """It begins with a comparison with the journal."""
    engine = open_engine(f"sqlite:///{path}")
    add_row(engine, 2)
    engine.dispose()
    put_backup(path)

    assert rows_seen(open_engine(f"sqlite:///{path}")) == [1, 2]


def test_a_file_that_is_made_by_the_first_connection_is_followed(tmp_path: Path) -> None:
    """Also one that the process itself has made, such as that of a new deployment."""
    path = tmp_path / "new.sqlite"
    engine = open_engine(f"sqlite:///{path}")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    add_row(engine, 1)
    path.unlink()

    with pytest.raises(DatabaseUnavailable, match="was deleted"):
        add_row(engine, 2)
