"""A target database that fails: the command says why with exit code 1, and the same command continues."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from handmade import CREATED, table, unpacked_archive

from cli.main import main
from portability.database import engine

ROWS = 300
"""Of 1 KB each: 300 pages of a database."""


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """An archive in one batch."""
    deal = {"tenant_id": "ten_x", "name": "theirs " * 150, "created_at": CREATED}
    made = unpacked_archive(
        tmp_path, [table("deals", *({"id": f"dea_{n}", **deal} for n in range(ROWS)), exporter="crm")]
    )
    return made[0]


def into_target(unpacked: Path, into: str, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--into", into, "--dir", str(unpacked.parent / "state"), "--json"])


@pytest.mark.parametrize("pages", [60, 220, 340], ids=["tables", "rows", "journal"])
def test_a_full_disk_is_a_failure_that_continues(unpacked: Path, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 means that nothing was changed. SQLite ends the transaction: the return to a savepoint then fails."""
    into = f"sqlite:///{unpacked.parent}/target.db"
    words = ("import", str(unpacked), "--as-tenant", "ten_here")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "WRITABLE_SQLITE", (*engine.WRITABLE_SQLITE, f"max_page_count={pages}"))
        failed = into_target(unpacked, into, *words)
    error = orjson.loads(failed.stdout)["error"]
    assert (failed.exit_code, error["code"]) == (1, "target_unavailable")
    assert error["message"] == "the database of --into failed: OperationalError SQLITE_FULL"
    assert "is it full" in error["hint"]

    (taken,) = orjson.loads(into_target(unpacked, into, *words).stdout)["datasets"]
    assert taken["new"] == ROWS
    assert len(orjson.loads(into_target(unpacked, into, "imports", "list").stdout)) == 1


def test_a_server_that_is_away_is_no_wrong_command(unpacked: Path) -> None:
    """A script repeats exit code 1, and corrects its arguments after 2."""
    failed = into_target(
        unpacked, "postgresql+psycopg://app@127.0.0.1:1/crm", "import", str(unpacked), "--as-tenant", "ten_here"
    )
    error = orjson.loads(failed.stdout)["error"]
    assert (failed.exit_code, error["code"]) == (1, "target_unavailable")
    assert "nothing listens there" in error["message"]


def test_an_import_that_was_ended_after_its_end_is_no_second_one(unpacked: Path) -> None:
    """The report was lost, for example with the terminal: the same command names the import, and the list has one."""
    into, words = f"sqlite:///{unpacked.parent}/target.db", ("import", str(unpacked), "--as-tenant", "ten_here")
    first, again = (orjson.loads(into_target(unpacked, into, *words).stdout) for _ in range(2))
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert (again["import"], again["datasets"][0]["same"]) == (first["import"], ROWS)
    assert [one["id"] for one in orjson.loads(into_target(unpacked, into, "imports", "list").stdout)] == [
        first["import"]
    ]

    with closing(sqlite3.connect(unpacked.parent / "target.db")) as database:
        database.execute("DELETE FROM deals WHERE id = 'dea_1'")
        database.commit()
    taken = orjson.loads(into_target(unpacked, into, *words, "--on-conflict", "take").stdout)
    assert (taken["repeated"], taken["datasets"][0]["new"]) == (False, 1)
    assert len(orjson.loads(into_target(unpacked, into, "imports", "list").stdout)) == 2


@pytest.mark.parametrize("unread", ["tagmanifest-sha256.txt", "data/crm/deals.jsonl"], ids=["manifest", "records"])
def test_a_disk_that_does_not_read_the_archive_damages_nothing(unpacked: Path, unread: str) -> None:
    """The archive is not refused: when its disk reads again, the same command imports it whole."""
    into = f"sqlite:///{unpacked.parent}/target.db"
    words = ("import", str(unpacked), "--as-tenant", "ten_here")
    path = unpacked / unread
    kept = path.rename(unpacked.parent / "kept")
    path.symlink_to("/proc/self/mem")  # Linux answers a read at its first byte with EIO
    failed = into_target(unpacked, into, *words)
    error = orjson.loads(failed.stdout)["error"]
    assert (failed.exit_code, error["code"]) == (1, "archive_unread")
    assert error["message"] == f"cannot read {path}: Input/output error"
    assert "the same command again" in error["hint"]

    path.unlink()
    kept.rename(path)
    (taken,) = orjson.loads(into_target(unpacked, into, *words).stdout)["datasets"]
    assert taken["new"] == ROWS
