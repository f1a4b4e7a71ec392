"""The events of a simulated deployment: requests arrive, workers claim and write volumes, services fail, exports end.

The order of claims is that of the product (`turns`), and so are the cut of datasets into slices, back-off, the number
of attempts, and deadlines. A worker claims as soon as it is free: the wake-up takes no time. A queue of events needs
no library: all that `simpy` would add are processes that wait, and here only events wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from bench.simulation.turns import SimulatedSlice, SimulatedTurns, WaitingExport, YieldKind
from bench.simulation.workload import DAY_SECONDS, HOUR_SECONDS, MB, SimulatedRequest
from portability.api.errors import StorageUnavailable
from portability.database import leases
from portability.law import deadlines
from portability.law.deadlines import DeadlineClock
from portability.law.regime import Regime, SubjectFacts
from portability.law.regimes import applying
from portability.requests import slices
from portability.settings import Settings
from worker.claim.fenced_writes import BACKOFF_MAX_SECONDS
from worker.close.failure import tries
from worker.plan.slicing import RECORD_BYTES, how_many

BEGAN_AT = datetime(2026, 1, 5, tzinfo=UTC)
"""The Monday with which the year begins."""
OPENS, CLOSES = 9 * HOUR_SECONDS, 17 * HOUR_SECONDS
"""When officers are at work, in the hours of a working day, UTC."""
DECISION_SECONDS = 2 * HOUR_SECONDS
"""How much of their working time a request waits for them, on average."""
DATASETS = ((0.55, MB), (0.2, RECORD_BYTES), (0.1, RECORD_BYTES), (0.1, RECORD_BYTES), (0.05, RECORD_BYTES))
"""The datasets of an export: the share of its bytes, and the bytes of a record with its files."""


@dataclass(frozen=True, slots=True)
class VolumeCost:
    """How long a worker needs for a volume."""

    job_seconds: float = 0.25
    """For what does not depend on the size: `small` of the bench, with a margin."""
    bytes_per_second: float = 80 * MB
    """Between rows (84 MB/s, `rows_jsonl`) and recordings (130 MB/s), with one more format."""


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """The deployment that is simulated."""

    settings: Settings
    workers: int
    reserved: int = 0
    """Further workers, for small exports only."""
    cost: VolumeCost = VolumeCost()
    outages: Sequence[tuple[float, float]] = ()
    """When storage is away, from and until, in seconds since the year began."""
    deaths: float = 0.0001
    """The share of volumes whose worker dies half-way."""


@dataclass(slots=True, eq=False, kw_only=True)
class SimulatedExport(WaitingExport):
    """An export with what remains of its slices."""

    request: SimulatedRequest
    accepted_at: float
    left: list[int] = field(default_factory=list)
    """Bytes by slice that are not stored yet."""
    attempts: list[int] = field(default_factory=list)
    claimed_at: float | None = None
    ended_at: float | None = None
    is_failed: bool = False

    @property
    def is_ended(self) -> bool:
        return self.ended_at is not None


@dataclass(frozen=True, slots=True)
class YearOutcome:
    """What became of the requests."""

    exports: Sequence[SimulatedExport]
    missed: frozenset[str]
    """Ids of those that were ready after their deadline, or failed."""
    volumes: int
    busy_seconds: float
    """Of all workers together."""


def simulate(deployed: DeploymentPlan, asked: Sequence[SimulatedRequest], *, seed: int = 0) -> YearOutcome:
    """Let a deployment answer these requests, the earliest first, until all have ended."""
    return _Year(deployed, Random(seed)).run(asked)  # noqa: S311  # a simulation


class _Year:
    def __init__(self, deployed: DeploymentPlan, chance: Random) -> None:
        self._deployed, self._settings, self._chance = deployed, deployed.settings, chance
        self._turns = SimulatedTurns(self._settings.tenant_volumes_max)
        self._events: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._numbers = count()
        self._idle = [deployed.workers, deployed.reserved]
        self._open_of: Counter[int] = Counter()
        self._exports: list[SimulatedExport] = []
        self._tries = tries(StorageUnavailable("away"), self._settings.attempts_max)
        self._volumes, self._busy_seconds = 0, 0.0
        self._laws = cache(partial(_applying, self._settings.laws))

    def run(self, asked: Sequence[SimulatedRequest]) -> YearOutcome:
        arriving = iter(asked)
        following = next(arriving, None)
        while following is not None or self._events:
            if following is not None and (not self._events or following.at <= self._events[0][0]):
                at = following.at
                self._arrive(at, following)
                following = next(arriving, None)
            else:
                at, _number, happen, what = heappop(self._events)
                happen(at, what)
            self._serve(at)
        missed = frozenset(export.id for export in self._exports if self._is_missed(export))
        return YearOutcome(self._exports, missed, self._volumes, self._busy_seconds)

    def _later(self, at: float, happen: Callable[[float, Any], None], what: object) -> None:
        heappush(self._events, (at, next(self._numbers), happen, what))

    # Requests

    def _arrive(self, at: float, request: SimulatedRequest) -> None:
        if request.needs_officer:
            self._later(self._decided_at(at), self._accept, request)
        else:
            self._accept(at, request)

    def _accept(self, at: float, request: SimulatedRequest) -> None:
        identifier, group = f"{len(self._exports):09}", slices.group(request.tenant)
        export = SimulatedExport(identifier, group, request=request, accepted_at=at)
        self._exports.append(export)
        is_further = self._open_of[request.subject] > 0
        self._open_of[request.subject] += 1
        self._open(export, at, request.bytes, YieldKind.FURTHER if is_further else YieldKind.NO)

    def _open(self, export: SimulatedExport, at: float, size: int, yielding: YieldKind) -> None:
        part = SimulatedSlice(export, len(export.parts), at, yielding)
        export.parts.append(part)
        export.left.append(size)
        export.attempts.append(0)
        self._turns.offer(part)

    def _decided_at(self, at: float) -> float:
        """Return when an officer decides on what arrives now."""
        left = self._chance.expovariate(1 / DECISION_SECONDS)
        day = int(at // DAY_SECONDS)
        while True:
            begin, end = day * DAY_SECONDS + OPENS, day * DAY_SECONDS + CLOSES
            if self._settings.place.works((BEGAN_AT + timedelta(days=day)).date()) and at < end:
                at = max(at, begin)
                if at + left <= end:
                    return at + left
                left -= end - at
            day += 1

    # Workers

    def _serve(self, at: float) -> None:
        """Let idle workers claim."""
        for small_only in (False, True):
            while self._idle[small_only]:
                part = self._turns.claim(at, small_only=small_only)
                if part is None:
                    break
                self._idle[small_only] -= 1
                self._begin(at, part, small_only=small_only)

    def _begin(self, at: float, part: SimulatedSlice, *, small_only: bool) -> None:
        export: Any = part.export
        if export.claimed_at is None:
            export.claimed_at = at
            if sizes := self._cut(export):
                self._later(at + self._deployed.cost.job_seconds, self._planned, (part, small_only, sizes))
                return
        export.attempts[part.number] += 1
        cost, left = self._deployed.cost, export.left[part.number]
        size = min(left, self._settings.volume_bytes)
        ends_at = at + cost.job_seconds + (0.0 if self._is_out(at) else size / cost.bytes_per_second)
        self._busy_seconds += ends_at - at
        if self._chance.random() < self._deployed.deaths:
            self._later((at + ends_at) / 2, self._die, (part, small_only))
        elif self._is_out(ends_at):
            self._later(ends_at, self._fail, (part, small_only))
        else:
            self._later(ends_at, self._store, (part, small_only, size))

    def _planned(self, at: float, what: tuple[SimulatedSlice, bool, Sequence[int]]) -> None:
        """The first claim of a large export has only cut it: each slice has its own turn."""
        part, small_only, sizes = what
        self._idle[small_only] += 1
        self._turns.release(part)
        export: Any = part.export
        export.left[0] = sizes[0]
        for size in sizes[1:]:
            self._open(export, at, size, YieldKind.LARGE)
        part.yielding = YieldKind.LARGE
        self._turns.offer(part)

    def _store(self, at: float, what: tuple[SimulatedSlice, bool, int]) -> None:
        """A volume is stored: the slice goes on, waits for the others, or ends the export."""
        part, small_only, size = what
        self._idle[small_only] += 1
        self._turns.release(part)
        export: Any = part.export
        self._volumes += 1
        if export.is_ended:
            return
        export.left[part.number] -= size
        export.attempts[part.number] = 0
        first = export.parts[0]
        if export.left[part.number] > 0:
            part.yielding = YieldKind.LARGE
            self._turns.offer(part)
        elif any(export.left[1:]):
            return
        elif part is first:
            self._end(at, export)
        elif export.left[0] == 0:
            self._turns.offer(first)  # to close

    def _fail(self, at: float, what: tuple[SimulatedSlice, bool]) -> None:
        """Storage is away: the slice rests, or the export has failed."""
        part, small_only = what
        self._idle[small_only] += 1
        self._turns.release(part)
        export: Any = part.export
        attempts = export.attempts[part.number]
        if attempts >= self._tries:
            export.is_failed = True
            self._end(at, export)
        elif not export.is_ended:
            first = self._settings.backoff_seconds
            wait = leases.backoff_seconds(first, attempts, BACKOFF_MAX_SECONDS, below=self._chance.randrange)
            self._later(at + wait, self._offer, part)

    def _die(self, at: float, what: tuple[SimulatedSlice, bool]) -> None:
        """A worker dies, and another one starts; the slice is free when the lease has ended."""
        part, small_only = what
        self._idle[small_only] += 1
        self._later(at + self._settings.lease_seconds, self._expire, part)

    def _expire(self, at: float, part: SimulatedSlice) -> None:
        self._turns.release(part)
        self._offer(at, part)

    def _offer(self, _at: float, part: SimulatedSlice) -> None:
        export: Any = part.export
        if not export.is_ended:
            self._turns.offer(part)

    def _end(self, at: float, export: SimulatedExport) -> None:
        if not export.is_ended:
            export.ended_at = at
            self._open_of[export.request.subject] -= 1
        for part in export.parts:
            self._turns.withdraw(part)

    def _is_out(self, at: float) -> bool:
        return any(began_at <= at < ended_at for began_at, ended_at in self._deployed.outages)

    # Rules

    def _cut(self, export: SimulatedExport) -> Sequence[int]:
        """Return the bytes of each slice of an export with large datasets; empty: it is not cut."""
        limits = {"slice_bytes": self._settings.slice_bytes, "slices_max": self._settings.slices_max}
        whole = export.left[0]
        if whole < limits["slice_bytes"]:
            return ()
        own, cut = 0, []
        for share, record_bytes in DATASETS:
            size = int(whole * share)
            records = size // record_bytes
            n = how_many(records, size - records * RECORD_BYTES, **limits)
            if n > 1:
                cut += [size // n] * n
            else:
                own += size
        return [own, *cut] if cut else ()

    def _is_missed(self, export: SimulatedExport) -> bool:
        request = export.request
        if export.is_failed or export.ended_at is None:
            return True
        kind = "tenant" if request.profile == "switch" else "contact" if request.tenant else "user"
        laws = self._laws(request.profile, kind)
        # No deadline is earlier than its shortest period, and most exports take seconds.
        if export.ended_at - request.at < min(law.period.shortest.total_seconds() for law in laws):
            return False
        clock = DeadlineClock(BEGAN_AT + timedelta(seconds=request.at))
        due = deadlines.deadline(laws, request.profile, clock, self._settings.place).at
        return BEGAN_AT + timedelta(seconds=export.ended_at) >= due


def _applying(laws: Sequence[Regime], profile: str, kind: str) -> Sequence[Regime]:
    return applying(laws, profile, SubjectFacts(kind))
