"""A target database that fails: the command says why with exit code 1, and the same command continues."""

from __future__ import annotations

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
def folder(tmp_path: Path) -> Path:
    """An archive in one batch."""
    deal = {"tenant_id": "ten_x", "name": "theirs " * 150, "created_at": CREATED}
    made = unpacked_archive(
        tmp_path, [table("deals", *({"id": f"dea_{n}", **deal} for n in range(ROWS)), exporter="crm")]
    )
    return made[0]


def into_target(folder: Path, into: str, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--into", into, "--dir", str(folder.parent / "state"), "--json"])


@pytest.mark.parametrize("pages", [60, 220, 340], ids=["tables", "rows", "journal"])
def test_a_full_disk_is_a_failure_that_continues(folder: Path, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 means that nothing was changed. SQLite ends the transaction: the return to a savepoint then fails."""
    into = f"sqlite:///{folder.parent}/target.db"
    words = ("import", str(folder), "--as-tenant", "ten_here")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "WRITABLE_SQLITE", (*engine.WRITABLE_SQLITE, f"max_page_count={pages}"))
        failed = into_target(folder, into, *words)
    error = orjson.loads(failed.stdout)["error"]
    assert (failed.exit_code, error["code"]) == (1, "target_unavailable")
    assert error["message"] == "the database of --into failed: OperationalError SQLITE_FULL"
    assert "is it full" in error["hint"]

    (taken,) = orjson.loads(into_target(folder, into, *words).stdout)["datasets"]
    assert taken["new"] == ROWS
    assert len(orjson.loads(into_target(folder, into, "imports", "list").stdout)) == 1


def test_a_server_that_is_away_is_no_wrong_command(folder: Path) -> None:
    """A script repeats exit code 1, and corrects its arguments after 2."""
    failed = into_target(
        folder, "postgresql+psycopg://app@127.0.0.1:1/crm", "import", str(folder), "--as-tenant", "ten_here"
    )
    error = orjson.loads(failed.stdout)["error"]
    assert (failed.exit_code, error["code"]) == (1, "target_unavailable")
    assert "nothing listens there" in error["message"]
