"""The sweep: storage and database brought to agree again, after workers that died between the two.

First what storage has lost, for that may mean that it is the wrong storage, and then nothing is touched; then what is
left over. Safe beside running workers and other sweeps.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from portability import deployment, incidents
from portability.errors import ForeignStore, PortabilityError, StorageError
from portability.incidents import Incident
from portability.storage import Storage
from worker import leftovers, lost
from worker.leftovers import Kind
from worker.withdraw import withdraw_copies, withdraw_recalled

log = structlog.get_logger()
LOOKS = 10
"""How often a clock looks, within the time between two sweeps, whether one is due."""
ACTOR = "clock"


@dataclass(frozen=True, slots=True)
class Tally:
    """How much was found of one kind."""

    kind: Kind
    count: int
    bytes: int
    kept: int
    """Of them, those that storage would not remove."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a sweep found; it is removed and failed unless it was a dry run."""

    tallies: Sequence[Tally]
    lost: Mapping[str, Sequence[int]]
    """Numbers of volumes by export."""

    @property
    def found(self) -> int:
        return sum(tally.count for tally in self.tallies)

    @property
    def kept(self) -> int:
        return sum(tally.kept for tally in self.tallies)


def sweep(engine: Engine, storage: Storage, *, actor: str, dry_run: bool = False, force: bool = False) -> Report:
    """Fail exports whose objects are gone, and remove what belongs to nobody.

    Args:
        engine: the control database.
        storage: where archives are.
        actor: who sweeps, for the audit log.
        dry_run: only tell.
        force: go on where the storage looks like another one than the database means.

    Raises: ForeignStore, before anything is changed; StorageError; DatabaseUnavailable.
    """
    try:
        if not force:
            deployment.check_owner(engine, storage)
        began_at = deployment.clock(engine)
        gone = lost.find(engine, storage, began_at, force=force)
    except ForeignStore:
        incidents.count(engine, Incident.FOREIGN_STORE)
        raise
    if not dry_run:
        deployment.take_over(engine, storage)
        for export_id, numbers in gone.items():
            lost.fail(engine, export_id, numbers, actor=actor)
    counts: Counter[Kind] = Counter()
    sizes: Counter[Kind] = Counter()
    kept: Counter[Kind] = Counter()
    for leftover in leftovers.find(engine, storage, began_at):
        counts[leftover.kind] += 1
        sizes[leftover.kind] += leftover.bytes
        kept[leftover.kind] += not (dry_run or _removed(leftover))
    if swept := 0 if dry_run else counts.total() - kept.total():
        incidents.count(engine, Incident.SWEPT, swept)
    return Report([Tally(kind, counts[kind], sizes[kind], kept[kind]) for kind in Kind], gone)


def _removed(leftover: leftovers.Leftover) -> bool:
    try:
        leftover.remove()
    except StorageError as error:
        # One object that may not be deleted must not keep all others; a storage that is away is no such object.
        if error.retryable:
            raise
        return False
    return True


def run(engine: Engine, open_storage: Callable[[], Storage], every_seconds: float, stop: threading.Event) -> None:
    """Sweep every so many seconds until told to stop, in turn with all other clocks; 0 seconds: never.

    It takes minutes where there are many objects: a clock gives it a thread of its own.
    """
    while every_seconds and not stop.is_set():
        _sweep_if_due(engine, open_storage, every_seconds)
        stop.wait(every_seconds / LOOKS)


def run_recalls(
    engine: Engine, open_storage: Callable[[], Storage], every_seconds: float, stop: threading.Event
) -> None:
    """Delete what was recalled, every so many seconds until told to stop: that waits for no sweep (R48)."""
    while not stop.is_set():
        try:
            if gone := withdraw_recalled(engine, open_storage):
                log.info("recall.deleted", volumes=gone)
            if copies := withdraw_copies(engine, open_storage):
                log.info("transfer.deleted", copies=copies)
        except PortabilityError as error:
            log.warning("recall.waits", code=error.code)
        except Exception as error:
            log.exception("recall.failed", error=type(error).__name__)
        stop.wait(every_seconds)


def _sweep_if_due(engine: Engine, open_storage: Callable[[], Storage], every_seconds: float) -> None:
    try:
        if deployment.claim_sweep(engine, every_seconds):
            report = sweep(engine, open_storage(), actor=ACTOR)
            log.info("sweep.done", found=report.found, kept=report.kept, lost=len(report.lost))
    except PortabilityError as error:
        log.warning("sweep.failed", code=error.code)
    except Exception as error:
        log.exception("sweep.failed", error=type(error).__name__)
