"""The sweep: makes storage and database agree again after workers that died between the two.

First it looks for lost volumes, because many of them mean a wrong storage, and then nothing is changed; then it
removes orphans. Safe beside running workers and other sweeps.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Engine

from portability.api.errors import ForeignStore, PortabilityError, StorageError, StorageFull
from portability.api.storages import Storage
from portability.database import deployment, history, incidents
from portability.database.engine import reading
from portability.database.history import DatabaseBehind
from portability.database.incidents import Incident
from portability.journal import comparison
from portability.requests.states import ExportState
from worker.clock import lost_volumes, orphans, turns
from worker.clock.orphans import OrphanKind
from worker.write.withdraw import RefusedDeletions, withdraw_copies, withdraw_discarded

log = structlog.get_logger()
LOOKS = 10
"""How often a clock checks whether a sweep is due."""
ACTOR = "clock"


@dataclass(frozen=True, slots=True)
class SweepTally:
    """Counts of orphans of one kind."""

    kind: OrphanKind
    count: int
    bytes: int
    kept: int
    """How many of them the storage refused to remove, or a fault kept."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The result of a sweep; unless it was a dry run, orphans are removed and exports with lost volumes failed."""

    tallies: Sequence[SweepTally]
    lost: Mapping[str, Sequence[int]]
    """Numbers of lost volumes by export."""

    @property
    def found(self) -> int:
        return sum(tally.count for tally in self.tallies)

    @property
    def kept(self) -> int:
        return sum(tally.kept for tally in self.tallies)


def sweep(engine: Engine, storage: Storage, *, actor: str, dry_run: bool = False, force: bool = False) -> SweepReport:
    """Fail exports whose objects are gone, and remove orphans.

    Args:
        engine: the control database.
        storage: where archives are.
        actor: who sweeps, for the audit log.
        dry_run: only report.
        force: continue although the storage seems to be another one than the database expects.

    Raises: DatabaseBehind or ForeignStore, before anything is changed; StorageError; DatabaseUnavailable. What keeps
        one export from failing is raised after all others and all orphans had their turn.
    """
    _check_complete(engine, storage, dry_run=dry_run)
    try:
        if not force:
            deployment.check_owner(engine, storage)
        began_at = deployment.clock(engine)
        gone = lost_volumes.find(engine, storage, began_at, force=force)
    except ForeignStore:
        incidents.count(engine, Incident.FOREIGN_STORE)
        raise
    if not dry_run:
        _take_over(engine, storage, force=force)
    fault = None if dry_run else _fail_lost(engine, gone, began_at, actor)
    counts: Counter[OrphanKind] = Counter()
    sizes: Counter[OrphanKind] = Counter()
    kept: Counter[OrphanKind] = Counter()
    for orphan in orphans.find(engine, storage, began_at):
        counts[orphan.kind] += 1
        sizes[orphan.kind] += orphan.bytes
        kept[orphan.kind] += not (dry_run or _removed(orphan))
    if swept := 0 if dry_run else counts.total() - kept.total():
        incidents.count(engine, Incident.SWEPT, swept)
    if fault:
        raise fault
    return SweepReport([SweepTally(kind, counts[kind], sizes[kind], kept[kind]) for kind in OrphanKind], gone)


def _check_complete(engine: Engine, storage: Storage, *, dry_run: bool) -> None:
    """Check that the database lacks nothing: what it does not know would be removed. Raises DatabaseBehind."""
    is_complete = not comparison.lost(engine, storage) if dry_run else comparison.settle(engine, storage)
    if not is_complete:
        raise DatabaseBehind("the journal in storage has events that the control database lacks")


def _take_over(engine: Engine, storage: Storage, *, force: bool) -> None:
    try:
        deployment.take_over(engine, storage)
    except StorageFull:
        # What is removed makes room for it. What belongs to another deployment is not removed without this record.
        if force:
            raise


def _fail_lost(engine: Engine, gone: Mapping[str, Sequence[int]], began_at: datetime, actor: str) -> Exception | None:
    """Fail exports whose objects are gone; returns the last fault of one, after all had their turn."""

    def fail(export_id: str) -> int:
        lost_volumes.fail(engine, export_id, gone[export_id], began_at, actor=actor)
        return 1

    try:
        turns.try_each(gone, fail)
    except turns.OF_ALL:
        raise
    except Exception as error:  # noqa: BLE001  # raised by the caller
        return error
    return None


def _removed(orphan: orphans.Orphan) -> bool:
    """Remove an orphan; returns whether it is gone. One that cannot be deleted must not prevent the others."""
    try:
        orphan.remove()
    except turns.OF_ALL:
        raise
    except StorageError as error:
        # A storage that is down stops the sweep.
        if error.retryable:
            raise
        return False
    except Exception as error:
        log.exception("sweep.not_removed", kind=orphan.kind, error=type(error).__name__)
        return False
    return True


def run(engine: Engine, open_storage: Callable[[], Storage], every_seconds: float, stop: threading.Event) -> None:
    """Sweep regularly until stopped, alternating with other clocks; 0 seconds: never.

    It takes minutes with many objects, so a clock runs it in a separate thread.
    """
    while every_seconds and not stop.is_set():
        _sweep_if_due(engine, open_storage, every_seconds)
        stop.wait(every_seconds / LOOKS)


def run_recalls(
    engine: Engine, open_storage: Callable[[], Storage], every_seconds: float, stop: threading.Event
) -> None:
    """Delete recalled exports regularly until stopped: this must not wait for a sweep (R48)."""
    volumes, copies = RefusedDeletions(), RefusedDeletions()
    while not stop.is_set():
        recalled = partial(withdraw_discarded, engine, open_storage, {ExportState.RECALLED}, refused=volumes)
        _delete(engine, recalled, "recall.deleted", "volumes")
        # Not after it: a volume that storage refuses to delete keeps no copy whose consent has ended.
        _delete(engine, partial(withdraw_copies, engine, open_storage, refused=copies), "transfer.deleted", "copies")
        stop.wait(every_seconds)


def _delete(engine: Engine, withdraw: Callable[[], int], done: str, what: str) -> None:
    try:
        with reading(engine) as connection:
            history.check(connection)
        if gone := withdraw():
            log.info(done, **{what: gone})
    except PortabilityError as error:
        log.warning("recall.waits", what=what, code=error.code)
    except Exception as error:
        log.exception("recall.failed", what=what, error=type(error).__name__)


def _sweep_if_due(engine: Engine, open_storage: Callable[[], Storage], every_seconds: float) -> None:
    try:
        if deployment.claim_sweep(engine, every_seconds):
            report = sweep(engine, open_storage(), actor=ACTOR)
            log.info("sweep.done", found=report.found, kept=report.kept, lost=len(report.lost))
    except PortabilityError as error:
        log.warning("sweep.failed", code=error.code)
    except Exception as error:
        log.exception("sweep.failed", error=type(error).__name__)
