"""Objects that storage refuses to delete, as Object Lock does: they are tried less often, and hold up nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from factories import World
from sqlalchemy import func, select
from structlog.testing import capture_logs
from transferring import OWNER, Provider, authorised, encrypted, ready, sending_world, started

from portability.api.errors import StorageRefused, StorageUnavailable
from portability.database import models
from portability.database.engine import reading, writing
from portability.retention import recalls
from portability.storage.local import LocalStorage
from portability.transfers import authorisations
from worker.clock import sweep
from worker.write.withdraw import REFUSED_SECONDS, REFUSED_SECONDS_MAX, RefusedDeletions


class LockedStorage(LocalStorage):
    """Refuses to delete what is in `locked`, and counts the tries."""

    locked: frozenset[str] = frozenset()
    tries: int = 0

    def delete(self, key: str) -> None:
        if key in self.locked:
            self.tries += 1
            raise StorageRefused("the object is locked")
        super().delete(key)


class FewTurns(threading.Event):
    """Ends a loop after some turns, without waiting."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self._left = turns

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  # that of the class
        self._left -= 1
        if self._left <= 0:
            self.set()
        return self.is_set()


@pytest.fixture
def storage(tmp_path: Path) -> LockedStorage:
    return LockedStorage(tmp_path / "archives")


@pytest.fixture
def made(control_url: str, tmp_path: Path, storage: LockedStorage) -> World:
    return sending_world(tmp_path, database_url=control_url, storage=storage)


@pytest.mark.requirement("R46", "R48")
def test_a_locked_volume_keeps_no_copy(made: World, storage: LockedStorage, other: Provider) -> None:
    """A recalled archive is locked: it is tried once in these turns, and copies of another person's end are deleted.

    One of the two copies is locked too. The log has the names that earlier releases gave these events.
    """
    recipient = other.recorded(made)
    consents, transfers = [], []
    for subject in ("user:usr_1", "user:usr_2"):
        consents.append(authorised(made, recipient, subject=subject))
        transfers.append(started(made, ready(made, subject), recipient))
    encrypted(made)
    recalled = ready(made, "user:usr_3")
    copy = models.transfer_copy
    with reading(made.engine) as connection:
        kept = set(connection.scalars(select(models.volume.c.object_key).where(models.volume.c.export_id == recalled)))
        kept |= set(connection.scalars(select(copy.c.object_key).where(copy.c.transfer_id == transfers[0])))
    storage.locked = frozenset(kept)
    with writing(made.engine) as connection:
        recalls.recall(connection, recalled, reason="wrong person", actor="operator:test")
        for consent in consents:
            authorisations.revoke(connection, consent, actor=str(OWNER))

    with capture_logs() as logs:
        sweep.run_recalls(made.engine, lambda: storage, 0.01, FewTurns(20))

    assert storage.tries == len(storage.locked) == 2
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(copy)) == 1
    assert {found.key for found in storage.list()} >= kept
    assert [(entry["event"], entry["what"]) for entry in logs] == [
        ("recall.waits", "volumes"),
        ("recall.waits", "copies"),
    ]

    storage.locked = frozenset()
    with capture_logs() as logs:
        sweep.run_recalls(made.engine, lambda: storage, 0.01, FewTurns(1))
    said = [{name: entry[name] for name in entry.keys() - {"log_level"}} for entry in logs]
    assert said == [{"event": "recall.deleted", "volumes": 1}, {"event": "transfer.deleted", "copies": 1}]


def test_what_is_refused_waits_longer_each_time() -> None:
    """Doubled up to ten minutes; a storage that is away is asked at once, and what is gone is forgotten."""
    time = [1000.0]
    refused = RefusedDeletions(lambda: time[0])
    refused.note("a", StorageUnavailable("away"))
    assert refused.is_due("a")
    waits = []
    for _ in range(9):
        refused.note("a", StorageRefused("locked"))
        began = time[0]
        while not refused.is_due("a"):
            time[0] += REFUSED_SECONDS
        waits.append(time[0] - began)
    assert waits[:3] == [REFUSED_SECONDS, 2 * REFUSED_SECONDS, 4 * REFUSED_SECONDS]
    assert waits[-1] == REFUSED_SECONDS_MAX
    refused.note("a", StorageRefused("locked"))
    refused.keep({"b"})
    assert refused.is_due("a")
