"""Two processes import or undo one archive at once, as two runs of a job that overlap: the first to end has done it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from handmade import CREATED, table, unpacked_archive

from portability.api.errors import BadInput
from receiver.binding.target import ImportTarget
from receiver.faults import UndoUnfinished, UnknownImport
from receiver.importer import undo as undo_module
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.database import opened
from receiver.importer.records import ImportedDataset
from receiver.importer.report import ImportReport
from receiver.importer.undo import UndoReport, undo
from receiver.ledger import runs
from receiver.ledger.seals import JournalKey

RUN = "0123456789abcdef"
DEAL: dict[str, Any] = {"id": "dea_1", "tenant_id": "ten_x", "name": "theirs", "created_at": CREATED}


@dataclass(frozen=True, slots=True)
class DealImports:
    """Imports of one archive with deals into one target."""

    folders: Sequence[Path]
    into: str
    key: JournalKey

    def imported(self) -> str:
        """Import it; returns the id."""
        options = ImportOptions(journal_key=self.key)
        return import_archive(self.folders, self.into, ImportTarget(tenant="ten_here"), options).import_id or ""

    def undone(self, run: str, progress: Callable[[int], object] = lambda _: None) -> UndoReport:
        """Undo an import; `progress` is called after each step."""
        with opened(self.into, make=False) as engine:
            return undo(engine, run, self.key, progress=progress)


@pytest.fixture(params=["sqlite", "postgresql"])
def into(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/target.db" if request.param == "sqlite" else request.getfixturevalue("pg_url")


@pytest.mark.parametrize("is_followed", [False, True])
def test_an_import_that_another_process_has_ended_stops(
    tmp_path: Path, into: str, monkeypatch: pytest.MonkeyPatch, is_followed: bool
) -> None:
    """If the next archive is imported by then: the slower process would bring back the values before it."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")], subject="sub_1")
    later = table("deals", {**DEAL, "name": "later"}, exporter="crm")
    (tmp_path / "next").mkdir()
    following = unpacked_archive(tmp_path / "next", [later], export="e2", subject="sub_1")
    options = ImportOptions(journal_key=JournalKey(Fernet.generate_key()))
    write, faster = ImportedDataset.run, list[ImportReport]()

    def slow(self: ImportedDataset) -> None:
        monkeypatch.setattr(ImportedDataset, "run", write)
        faster.append(import_archive(folders, into, ImportTarget(tenant="ten_here"), options))
        if is_followed:
            faster.append(import_archive(following, into, ImportTarget(tenant="ten_here"), options))
        write(self)

    monkeypatch.setattr(ImportedDataset, "run", slow)
    expected = pytest.raises(BadInput, match=r"another process has ended import \w+ meanwhile")
    with expected if is_followed else nullcontext():
        import_archive(folders, into, ImportTarget(tenant="ten_here"), options)

    assert faster[0].datasets[0].new == 1
    with opened(into, make=False) as engine, engine.connect() as connection:
        assert {run.state for run in runs.listed(connection)} == {runs.DONE}


def test_two_processes_that_repeat_an_unchanged_import_have_one_answer(
    tmp_path: Path, into: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster one, or two that follow each other, has ended before the slower one writes its first batch."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")], subject="sub_1")
    options = ImportOptions(journal_key=JournalKey(Fernet.generate_key()))
    first = import_archive(folders, into, ImportTarget(tenant="ten_here"), options)
    write, faster = ImportedDataset.run, list[ImportReport]()

    def slow(self: ImportedDataset) -> None:
        monkeypatch.setattr(ImportedDataset, "run", write)
        faster.extend(import_archive(folders, into, ImportTarget(tenant="ten_here"), options) for _ in range(2))
        write(self)

    monkeypatch.setattr(ImportedDataset, "run", slow)
    slower = import_archive(folders, into, ImportTarget(tenant="ten_here"), options)

    assert (slower.is_repeated, slower.import_id) == (True, first.import_id)
    assert [report.as_json() for report in faster] == [slower.as_json()] * 2
    with opened(into, make=False) as engine, engine.connect() as connection:
        assert [run.id for run in runs.listed(connection)] == [first.import_id]


def test_a_repeated_import_that_is_undone_meanwhile_stops(
    tmp_path: Path, into: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its earlier import is still here, but no other process has ended the repeated one."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")], subject="sub_1")
    options = ImportOptions(journal_key=JournalKey(Fernet.generate_key()))
    for _ in range(2):
        import_archive(folders, into, ImportTarget(tenant="ten_here"), options)
    write = ImportedDataset.run

    def overtaken(self: ImportedDataset) -> None:
        with opened(into, make=False) as engine:
            with engine.connect() as connection:
                (run,) = [run.id for run in runs.listed(connection) if run.state == runs.RUNNING]
            undo(engine, run, options.journal_key or JournalKey(b""))
        write(self)

    monkeypatch.setattr(ImportedDataset, "run", overtaken)
    with pytest.raises(UnknownImport, match=r"import \w+ was undone"):
        import_archive(folders, into, ImportTarget(tenant="ten_here"), options)


def test_the_import_of_an_inbox_that_has_ended_is_repeated(tmp_path: Path, into: str) -> None:
    """Its process was killed before the end was noted in the control database: the same run says it again."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")])
    options = ImportOptions(journal_key=JournalKey(Fernet.generate_key()), import_id=RUN)
    reports = [import_archive(folders, into, ImportTarget(tenant="ten_here"), options) for _ in range(2)]

    assert [(report.datasets[0].new, report.datasets[0].same) for report in reports] == [(1, 0), (0, 1)]
    with opened(into, make=False) as engine, engine.connect() as connection:
        assert [(run.id, run.state) for run in runs.listed(connection)] == [(RUN, runs.DONE)]


def test_a_repeated_import_can_be_undone_as_long_as_it_asks_for(tmp_path: Path, into: str) -> None:
    """An import that it repeats is kept longer, never shorter."""
    folders = unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")], subject="sub_1")
    key, kept = JournalKey(Fernet.generate_key()), list[int]()
    for days in (30, 90, 7):
        import_archive(
            folders, into, ImportTarget(tenant="ten_here"), ImportOptions(journal_key=key, journal_days=days)
        )
        with opened(into, make=False) as engine, engine.connect() as connection:
            (run,) = runs.listed(connection)
        kept.append((run.keep_until - run.began_at).days)
    assert kept == [30, 90, 90]


@pytest.fixture
def deals(tmp_path: Path, into: str, monkeypatch: pytest.MonkeyPatch) -> DealImports:
    """Six deals, of which each step of undoing takes two."""
    monkeypatch.setattr(undo_module, "BATCH", 2)
    records = ({**DEAL, "id": f"dea_{number}"} for number in range(6))
    folders = unpacked_archive(tmp_path, [table("deals", *records, exporter="crm")])
    return DealImports(folders, into, JournalKey(Fernet.generate_key()))


def test_undoing_by_two_processes_counts_all_rows(deals: DealImports) -> None:
    """What one has undone, the other counts, too; the slower one says that nothing is left for it."""
    run, faster = deals.imported(), list[UndoReport]()

    def overtaken(_count: int) -> None:
        faster.append(deals.undone(run))

    with pytest.raises(UnknownImport, match=f"another process has ended the undoing of import {run} meanwhile"):
        deals.undone(run, overtaken)
    assert [report.removed for report in faster] == [6]


def test_undoing_beside_another_process_counts_all_rows(deals: DealImports) -> None:
    """The other process has undone some rows and was killed: the counts are those of both."""
    run, others = deals.imported(), [deals]

    def beside(_count: int) -> None:
        with suppress(ZeroDivisionError, IndexError):
            others.pop().undone(run, lambda _count: 1 / 0)

    assert deals.undone(run, beside).removed == 6


def test_nothing_is_imported_into_a_target_that_is_undone_in_part(deals: DealImports) -> None:
    """It would find rows that are still as in its archive, and the rest of the undoing would remove them."""
    run = deals.imported()
    with pytest.raises(ZeroDivisionError):
        deals.undone(run, lambda _count: 1 / 0)
    with pytest.raises(UndoUnfinished, match=f"import {run} into this target is undone in part") as raised:
        deals.imported()
    assert run in raised.value.hint

    assert deals.undone(run).removed == 6
    assert deals.imported() != run
