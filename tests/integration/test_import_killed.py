"""A process that imports is killed by SIGKILL; the next run continues, and undoing restores every row."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from forks import run_fork
from handmade import CREATED, table, unpacked_archive
from sqlalchemy import func, select

from exporters.reference import schema
from portability.database.engine import open_engine
from receiver.binding.target import ImportTarget
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.database import opened
from receiver.importer.undo import undo
from receiver.ledger.seals import JournalKey

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from receiver.binding.target import ImportTarget
from receiver.importer import write
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.new_rows import NewRows
from receiver.ledger.identifiers import IdMap
from receiver.ledger.journal import RowJournal
from receiver.ledger.seals import JournalKey

folder, into, key, after, at = sys.argv[1:]
write.BATCH_ROWS, seen = 7, []
place, name = {"rows": (NewRows, "insert"), "journal": (RowJournal, "add"), "ids": (IdMap, "write")}[after]
step = getattr(place, name)

def killed(self, *arguments):
    done = step(self, *arguments)
    seen.append(1)
    if len(seen) == int(at) + (after == "ids"):  # the first ids are written when the import begins
        os.kill(os.getpid(), signal.SIGKILL)
    return done

setattr(place, name, killed)
options = ImportOptions(journal_key=JournalKey(key.encode()))
import_archive(sorted(Path(folder).iterdir()), into, ImportTarget(tenant="ten_here"), options)
"""
DEALS = 40


@pytest.mark.parametrize(("after", "at"), [("journal", 1), ("rows", 3), ("journal", 3), ("ids", 3), ("journal", 6)])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_import_that_is_killed_continues(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, after: str, at: int
) -> None:
    """Whole batches are there and nothing else, wherever in a batch it ends; both runs are one import."""
    into = f"sqlite:///{tmp_path}/target.db" if kind == "sqlite" else request.getfixturevalue("pg_url")
    record: dict[str, Any] = {"tenant_id": "ten_x", "name": "theirs", "created_at": CREATED}
    members = [table("deals", *({**record, "id": f"dea_{number}"} for number in range(DEALS)), exporter="crm")]
    folders, key = unpacked_archive(tmp_path, members), Fernet.generate_key()

    arguments = [str(tmp_path / "in"), into, key.decode(), after, str(at)]
    ended = run_fork(arguments, os.environ, seconds=60, code=KILLED_AT)
    assert ended.returncode == -signal.SIGKILL
    assert deal_count(into) == 7 * (at - 1)
    options = ImportOptions(journal_key=JournalKey(key))
    report = import_archive(folders, into, ImportTarget(tenant="ten_here"), options)
    assert (report.datasets[0].new, report.datasets[0].same) == (DEALS - 7 * (at - 1), 7 * (at - 1))
    with opened(into, make=False) as engine:
        assert undo(engine, report.import_id or "", JournalKey(key)).removed == DEALS
    assert deal_count(into) == 0


def deal_count(url: str) -> int:
    engine = open_engine(url)
    with engine.connect() as connection:
        count = connection.scalar(select(func.count()).select_from(schema.deals)) or 0
    engine.dispose()
    return count
