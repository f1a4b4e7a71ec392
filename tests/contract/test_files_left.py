"""Files that a killed batch has stored: whatever forgets an import deletes them, or keeps what leads to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faults import FaultyStorage, Killed
from handmade import CREATED, content, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import Connection, func, select, update

from portability.api.errors import BadInput
from portability.storage.local import LocalStorage
from receiver.binding.target import ImportTarget
from receiver.faults import UnknownImport
from receiver.importer.database import opened
from receiver.importer.report import ImportReport
from receiver.inbox.forget import forget_target_of
from receiver.ledger import runs
from receiver.ledger.tables import CHANGE, ID, KEY, PENDING_FILE, RUN

HERE = ImportTarget(tenant="ten_a")


@dataclass
class Receiver:
    """A receiving platform, and its storage."""

    folder: Path
    url: str

    def __post_init__(self) -> None:
        self.storage = FaultyStorage(LocalStorage(self.folder / "files"))

    @property
    def files(self) -> Sequence[str]:
        """The names of the files that are stored."""
        return sorted(stored.key.rpartition("/")[2] for stored in self.storage.inner.list())

    def archive(self, name: str, parts: str) -> list[Path]:
        """An archive of recordings, one for each letter."""
        of = {"tenant_id": "ten_x", "call_id": "cal_1", "created_at": CREATED}
        records = [{"id": f"rec_{part}", **of, "file": f"{part}.wav"} for part in parts]
        paths = [f"calls/recordings/{part}.wav" for part in parts]
        files: list[Any] = [(path, path.encode(), content("recordings", file=path[-5:])) for path in paths]
        (self.folder / name).mkdir()
        members = [table("recordings", *records), *files]
        return unpacked_archive(self.folder / name, members, export=name, subject="sub_1")

    def import_(self, archive: Sequence[Path], *, files: bool = True) -> ImportReport:
        return import_as(archive, self.url, HERE, storage=self.storage if files else None)

    def kill(self, archive: Sequence[Path]) -> None:
        """Kill an import before it completes its second file."""

        def fail(operation: str, count: int) -> None:
            if (operation, count) == ("complete", before + 2):
                raise Killed

        before, self.storage.before = self.storage.counts["complete"], fail
        with pytest.raises(Killed):
            self.import_(archive)
        self.storage.before = lambda _operation, _count: None

    def ask(self, question: Callable[[Connection], Any]) -> Any:
        with opened(self.url, make=False) as engine, engine.begin() as connection:
            return question(connection)

    def expire(self) -> None:
        """Let the time of all journals be over."""
        self.ask(lambda one: one.execute(update(RUN).values(keep_until=datetime.now(UTC) - timedelta(seconds=1))))
        self.ask(runs.listed)

    def noted(self) -> int:
        found: int = self.ask(lambda one: one.scalar(select(func.count()).select_from(PENDING_FILE)))
        return found


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    return Receiver(tmp_path, f"sqlite:///{tmp_path}/here.sqlite")


@pytest.mark.parametrize("is_expired", [False, True])
def test_a_target_is_forgotten_with_the_files_of_its_killed_batch(receiver: Receiver, *, is_expired: bool) -> None:
    """Without their storage nothing is forgotten. A file that a row needs stays, as imported rows do."""
    receiver.import_(receiver.archive("first", "a"))
    receiver.kill(receiver.archive("second", "abcd"))
    if is_expired:
        receiver.expire()
    assert receiver.files == ["a.wav", "b.wav"]
    with pytest.raises(BadInput, match="up to 4 of its files may be stored"):
        forget_target_of(receiver.url, HERE)
    assert [run.target for run in receiver.ask(runs.listed)] == [HERE.name] * 2

    forget_target_of(receiver.url, HERE, lambda: receiver.storage)

    assert (receiver.files, receiver.noted(), receiver.ask(runs.listed)) == (["a.wav"], 0, [])


def test_a_journal_that_expires_leads_to_the_files_of_its_killed_batch(receiver: Receiver) -> None:
    """The next import with their storage deletes them; one with another storage, or without, forgets none."""
    receiver.kill(receiver.archive("first", "abc"))
    receiver.expire()
    other = receiver.archive("other", "x")
    receiver.import_(other, files=False)
    import_as(other, receiver.url, HERE, storage=LocalStorage(receiver.folder / "elsewhere"))
    assert (receiver.files, receiver.noted()) == (["a.wav"], 3)

    receiver.import_(other)

    assert "a.wav" not in receiver.files
    assert receiver.noted() == 2  # of files that the storage does not have


def test_a_repeated_import_without_files_leads_to_those_of_its_killed_batch(receiver: Receiver) -> None:
    """It changes nothing, so there is one import: its undoing deletes them."""
    archive = receiver.archive("first", "ab")
    report = receiver.import_(archive, files=False)
    receiver.kill(archive)
    repeated = receiver.import_(archive, files=False)
    assert (repeated.is_repeated, repeated.import_id) == (True, report.import_id)
    assert receiver.files == ["a.wav"]
    with pytest.raises(BadInput, match=f"a batch of import {report.import_id} has not ended"):
        undone(receiver.url, report)

    assert undone(receiver.url, report, storage=receiver.storage).files == 1

    assert (receiver.files, receiver.noted()) == ([], 0)


def test_an_import_that_may_not_begin_leaves_nothing(receiver: Receiver) -> None:
    """Nor after a kill at its first check: the person may be erased by then, and no command would find the run."""

    def killed() -> None:
        raise Killed

    archive = receiver.archive("first", "a")
    with pytest.raises(Killed):
        import_as(archive, receiver.url, HERE, begun=killed)
    assert receiver.ask(lambda one: [one.execute(select(of)).all() for of in (RUN, KEY, ID)]) == [[], [], []]


def test_a_target_that_is_forgotten_during_a_batch_leaves_nothing(tmp_path: Path, pg_url: str) -> None:
    """Both take turns: else the batch would write journal and rows of files of a person who is forgotten."""
    receiver, waits = Receiver(tmp_path, pg_url), threading.Event()

    def forget() -> None:
        try:
            forget_target_of(pg_url, HERE, lambda: receiver.storage, waits=lambda _: waits.set())
        finally:
            waits.set()

    forgetting = threading.Thread(target=forget)

    def begin(operation: str, _count: int) -> None:
        if operation == "complete" and not waits.is_set():
            forgetting.start()
            waits.wait()

    receiver.storage.before = begin
    with suppress(UnknownImport):
        receiver.import_(receiver.archive("first", "a"))
    forgetting.join()

    left = receiver.ask(lambda one: [one.execute(select(of)).all() for of in (RUN, CHANGE, PENDING_FILE)])
    assert left == [[], [], []]
