"""Random walks through the states of an export, with a storage that fails: nothing is left behind at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from examples import examples
from factories import MadeUpExporter, World, file, things, world
from faults import FaultyStorage
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from portability.api.errors import BadInput, StorageError, StorageUnavailable
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import links
from portability.messages.outbox import MessageKind
from portability.requests import approvals, exports, retries
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.retention import erasures, recalls
from portability.retention.erasures import Whom
from portability.storage.local import LocalStorage
from portability.trust import audit, keys
from worker.clock import erasure, expiry, purge, sweep
from worker.export import advance
from worker.write.withdraw import withdraw_discarded

TEST = "operator:test"
OLGA = Actor("officer", "olga")
JANE = Whom("user", "usr_1", None)
YEARS_SECONDS = 3_000 * 86_400
NEXT = {
    "review": {"queued", "denied", "cancelled", "recalled"},
    "queued": {"review", "running", "denied", "cancelled", "recalled"},
    "running": {"closing", "ready", "failed", "cancelled", "recalled"},
    "closing": {"ready", "failed", "cancelled", "recalled"},
    "ready": {"running", "failed", "recalled", "expired"},
    "failed": {"queued", "cancelled"},
    "cancelled": set(),
    "denied": set(),
    "recalled": set(),
    "expired": set(),
}
"""Written out: the table that the product has must not judge itself."""
MESSAGES = {"ready": MessageKind.READY, "failed": MessageKind.FAILED, "denied": MessageKind.DENIED}
STEPS = (
    *("work", "work", "work", "work_with_fault", "fail", "cancel", "hold", "approve", "deny", "retry", "retry_gaps"),
    *("recall", "expire", "lose", "sweep", "link", "erase"),
)


OF_EXPORT = (models.export, models.volume, models.slice, models.pseudonym, models.earlier_revision)
"""Tables of an export and of its work."""


class Walk:
    """One export, and all that people, workers and clocks may do to it at any moment."""

    def __init__(self, folder: Path) -> None:
        (folder / "archives").mkdir()
        self.storage = FaultyStorage(LocalStorage(folder / "archives"))
        small: dict[str, Any] = {"volume_bytes": 65_536, "piece_bytes": 4_000, "volume_members": 10, "attempts_max": 1}
        # A batch with a file ends a piece, so ten members make a volume; the last file is shorter than promised.
        files = {number: [file(f"{number}.wav", b"x" * 100, size=200 if number == 7 else 100)] for number in range(8)}
        exporters = {"made": MadeUpExporter(things(80), 10, files)}
        self.world: World = world(folder, exporters, storage=self.storage, **small)
        with writing(self.world.engine) as connection:
            keys.ensure(connection, self.world.place.settings.keys, actor=TEST)
        self.export_id = self.world.request()

    @property
    def state(self) -> str:
        with reading(self.world.engine) as connection:
            return str(exports.get(connection, self.export_id)["state"])

    def stored(self) -> list[str]:
        """Keys of all objects and open uploads."""
        listings = (self.storage.list(self.export_id), self.storage.uploads(self.export_id))
        return [found.key for listing in listings for found in listing]

    def step(self, name: str) -> None:
        """Do something; what the state does not allow is refused, and then nothing has changed."""
        before = self.state
        with suppress(BadInput, StorageError):
            getattr(self, name)()
        after = self.state
        assert after == before or after in self._reachable(before, hops=3 if "work" in name or name == "fail" else 1), (
            name
        )

    def _reachable(self, state: str, hops: int) -> set[str]:
        found = {state}
        for _ in range(hops):
            found |= {following for reached in found for following in NEXT[reached]}
        return found

    def _write(self, call: Callable[..., object], *arguments: Any, **named: Any) -> None:
        with writing(self.world.engine) as connection:
            call(connection, *arguments, **named)

    def work(self) -> None:
        claim = self.world.claim()
        if claim is not None:
            advance(self.world.place, claim)

    def work_with_fault(self) -> None:
        self.storage.fail_at_complete = self.storage.counts["complete"] + 1
        self.work()

    def fail(self) -> None:
        """Storage is down for long: what is stored cannot be deleted when the export fails."""
        self.storage.fail_at_begin = self.storage.counts["begin"] + 1
        self.storage.error = StorageError
        self.storage.before = self._refuse_deletes
        self.work()
        self.storage.before = lambda _operation, _count: None
        self.storage.error = StorageUnavailable

    def _refuse_deletes(self, operation: str, _count: int) -> None:
        if operation in {"delete", "abort"}:
            raise StorageUnavailable("away")

    def cancel(self) -> None:
        self._write(exports.cancel, self.export_id, actor=TEST)

    def hold(self) -> None:
        self._write(approvals.ask, self.export_id, [Cause.SWITCH], actor=Actor("staff", "sue"))

    def approve(self) -> None:
        self._write(approvals.approve, self.export_id, actor=OLGA)

    def deny(self) -> None:
        self._write(approvals.deny, self.export_id, reason="because", actor=OLGA)

    def retry(self) -> None:
        self._write(retries.retry, self.export_id, actor=TEST)

    def retry_gaps(self) -> None:
        self._write(retries.retry_gaps, self.export_id, actor=TEST)

    def recall(self) -> None:
        self._write(recalls.recall, self.export_id, reason="wrong person", actor=TEST)

    def link(self) -> None:
        folder = self.world.place.settings.keys
        self._write(links.issue, folder, self.export_id, audience="login", ttl_seconds=600, actor=TEST)

    def erase(self) -> None:
        self._write(erasures.begin, JANE, reason="asked", actor=TEST, cancel_running=True, ground="subject")

    def expire(self) -> None:
        """Its time is over: announced, then ended."""
        engine, chosen = self.world.engine, self.world.place.settings
        with writing(engine) as connection:
            old = update(models.export).where(models.export.c.state == "ready")
            connection.execute(old.values(ended_at=now(-chosen.archive_ttl_seconds)))
        expiry.announce(engine, chosen)
        with writing(engine) as connection:
            connection.execute(update(models.notification).values(created_at=now(-expiry.NOTICE_SECONDS - 1)))
        expiry.expire(engine, chosen)

    def lose(self) -> None:
        for found in self.storage.list():
            if found.key.endswith(".zip"):
                self.storage.inner.delete(found.key)
                return

    def sweep(self) -> None:
        sweep.sweep(self.world.engine, self.storage, actor=TEST, force=True)

    def to_an_end(self) -> None:
        """From any state: let the worker finish, then recall it, or leave it as it ended."""
        while self.state in {"queued", "running", "closing"}:
            self.step("cancel")  # while a ready archive gets its next revision, only that ends
            self.work()
        for step in ("deny", "recall"):
            self.step(step)
        with writing(self.world.engine) as connection:
            for row in recalls.rows(connection, open_only=True):
                recalls.close(connection, row["id"], outcome="the person was informed", actor=TEST)

    def clocks(self) -> None:
        """A round of everything that happens by itself, years later."""
        engine, place = self.world.engine, self.world.place
        self.storage.fail_at_begin = self.storage.fail_at_complete = None
        erasure.advance(engine, lambda: self.storage)
        withdraw_discarded(engine, lambda: self.storage)
        sweep.sweep(engine, self.storage, actor=TEST, force=True)
        erasure.attest(engine, place.settings.keys, "https://x.example")
        with writing(engine) as connection:
            ended = update(models.export).where(models.export.c.ended_at.is_not(None))
            connection.execute(ended.values(ended_at=now(-YEARS_SECONDS)))
        purge.purge(engine, place.settings.log_months)


@settings(max_examples=examples(10))
@given(st.lists(st.sampled_from(STEPS), max_size=25))
def test_nothing_is_left_whatever_happened_on_the_way(steps: list[str]) -> None:
    """Each change is in the written table; at the end no object, volume or row of the export is left."""
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder))
        for name in steps:
            walk.step(name)
        walk.to_an_end()
        assert walk.state in {state for state, following in NEXT.items() if not following or state == "failed"}
        walk.clocks()
        with reading(walk.world.engine) as connection:
            left = {
                table.name: count
                for table in (*OF_EXPORT, models.link)
                if (count := connection.scalar(select(func.count()).select_from(table)))
            }
            assert audit.verify(connection).ok
        walk.world.engine.dispose()
        assert left == {}
        assert walk.stored() == []


@settings(max_examples=examples(10))
@given(st.lists(st.sampled_from([step for step in STEPS if step != "erase"]), max_size=20))
def test_each_end_has_its_event_and_its_message(steps: list[str]) -> None:
    """The log has an event for each end, and the person a message, since both are in the transaction of the change."""
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder))
        seen: list[str] = []
        for name in steps:
            before = walk.state
            walk.step(name)
            if walk.state != before:
                seen.append(walk.state)
        with reading(walk.world.engine) as connection:
            actions = [event["action"] for event in audit.events(connection, export_id=walk.export_id)]
            kinds = set(connection.scalars(select(models.notification.c.kind)))
        walk.world.engine.dispose()
        back = actions.count("export.reverted")
        ends = [state for state in seen if state in {"ready", "failed", "cancelled", "denied", "recalled", "expired"}]
        for state in ends:
            assert f"export.{state}" in actions
            assert MESSAGES.get(state, MessageKind.ACKNOWLEDGED) in kinds
        assert actions.count("export.ready") + back >= ends.count(ExportState.READY)


def test_the_export_that_failed_without_storage_and_was_denied_is_purged(tmp_path: Path) -> None:
    """Failed while storage was down, retried, then denied: its volumes go, and so does its record in its time."""
    walk = Walk(tmp_path)
    for name in ("work", "fail"):
        walk.step(name)
    assert walk.state == "failed"
    assert walk.stored() != []
    for name in ("retry", "deny"):
        walk.step(name)
    assert walk.state == "denied"
    walk.clocks()
    with reading(walk.world.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models.export)) == 0
    walk.world.engine.dispose()
    assert walk.stored() == []
