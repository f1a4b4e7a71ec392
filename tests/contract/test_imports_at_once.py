"""Two processes import one archive at once, as two runs of a job that overlap: the first to end has imported it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from handmade import CREATED, table, unpacked_archive

from portability.api.errors import BadInput
from receiver.binding.target import ImportTarget
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.database import opened
from receiver.importer.records import ImportedDataset
from receiver.importer.report import ImportReport
from receiver.ledger import runs
from receiver.ledger.seals import JournalKey

RUN = "0123456789abcdef"
DEAL: dict[str, Any] = {"id": "dea_1", "tenant_id": "ten_x", "name": "theirs", "created_at": CREATED}


@pytest.fixture(params=["sqlite", "postgresql"])
def into(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/target.db" if request.param == "sqlite" else request.getfixturevalue("pg_url")


@pytest.mark.parametrize("is_followed", [False, True])
def test_an_import_that_another_process_has_ended_stops(
    tmp_path: Path, into: str, monkeypatch: pytest.MonkeyPatch, is_followed: bool
) -> None:
    """If the next archive is imported by then: the slower process would bring back the values before it."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")])
    options = ImportOptions(journal_key=JournalKey(Fernet.generate_key()))
    write, faster = ImportedDataset.run, list[ImportReport]()

    def slow(self: ImportedDataset) -> None:
        monkeypatch.setattr(ImportedDataset, "run", write)
        faster.append(import_archive(folders, into, ImportTarget(tenant="ten_here"), options))
        if is_followed:
            faster.append(import_archive(folders, into, ImportTarget(tenant="ten_here"), options))
        write(self)

    monkeypatch.setattr(ImportedDataset, "run", slow)
    expected = pytest.raises(BadInput, match=r"another process has ended import \w+ meanwhile")
    with expected if is_followed else nullcontext():
        import_archive(folders, into, ImportTarget(tenant="ten_here"), options)

    assert faster[0].datasets[0].new == 1
    with opened(into, make=False) as engine, engine.connect() as connection:
        assert {run.state for run in runs.listed(connection)} == {runs.DONE}


def test_the_import_of_an_inbox_that_has_ended_is_repeated(tmp_path: Path, into: str) -> None:
    """Its process was killed before the end was noted in the control database: the same run says it again."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")])
    options = ImportOptions(journal_key=JournalKey(Fernet.generate_key()), import_id=RUN)
    reports = [import_archive(folders, into, ImportTarget(tenant="ten_here"), options) for _ in range(2)]

    assert [(report.datasets[0].new, report.datasets[0].same) for report in reports] == [(1, 0), (0, 1)]
    with opened(into, make=False) as engine, engine.connect() as connection:
        assert [(run.id, run.state) for run in runs.listed(connection)] == [(RUN, runs.DONE)]
