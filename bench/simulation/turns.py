"""The order of claims in memory: the same as `worker.claim.claims` has in SQL.

The product asks its database for the next slice each time. A simulation claims millions of times, so it keeps the
waiting slices in heaps. `tests/contract/test_simulated_turns.py` lets both claim after the same events, on PostgreSQL
and on SQLite, and compares each claim. Times are seconds; SQL's NULL of a turn that was never served is -infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from portability.requests import slices
from worker.claim.claims import YIELDS_SECONDS

NEVER = -math.inf
PEOPLE = slices.group(None)


class YieldKind(IntEnum):
    """How a slice stands to others of its group."""

    NO = 0
    FURTHER = 1
    """A further request of a person: it gives way for a time."""
    LARGE = 2
    """Of a large export: it gives way too, and workers that are reserved for small exports leave it."""


_KINDS = tuple(YieldKind)


@dataclass(slots=True, eq=False)
class WaitingExport:
    """An export, as far as the order of claims depends on it."""

    id: str
    group: str
    parts: list[SimulatedSlice] = field(default_factory=list)
    """Its slices, in the order of their numbers."""


@dataclass(slots=True, eq=False)
class SimulatedSlice:
    """A slice of an export."""

    export: WaitingExport
    number: int
    waited_since: float
    """When it was claimed last, or created."""
    yielding: YieldKind = YieldKind.NO
    is_claimable: bool = False


_Entry: TypeAlias = tuple[float, str, int, int, SimulatedSlice]
"""Waiting since, export, number of the slice, a number that no other entry has, and the slice."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A group: its waiting slices by how they yield, and when it was served."""

    group: str
    served_at: float = NEVER
    running: int = 0
    """Slices with a valid lease."""
    waiting: tuple[list[_Entry], ...] = field(default_factory=lambda: tuple([] for _ in YieldKind))
    claimable: list[int] = field(default_factory=lambda: [0] * len(YieldKind))
    """How many slices of each kind are claimable."""
    listed: list[bool] = field(default_factory=lambda: [False, False])
    """Whether it is in the heaps of turns: of all workers, and of those for small exports."""

    def first(self, yielding: YieldKind) -> _Entry | None:
        """Return the slice of a kind that has waited longest; entries that are out of date are dropped."""
        heap = self.waiting[yielding]
        while heap:
            since, *_, part = heap[0]
            if part.is_claimable and part.waited_since == since and part.yielding is yielding:
                return heap[0]
            heappop(heap)
        return None

    def has_claimable(self, *, small_only: bool) -> bool:
        """Return whether a worker may claim one of its slices."""
        plain, further, large = self.claimable
        return bool(plain or further or (large and not small_only))


class SimulatedTurns:
    """All groups with their waiting slices. A claim takes logarithmic time."""

    def __init__(self, tenant_volumes_max: int) -> None:
        self._volumes_max = tenant_volumes_max
        self._turns: dict[str, _Turn] = {}
        self._order: tuple[list[tuple[float, str]], ...] = ([], [])
        self._entries = count()

    def offer(self, part: SimulatedSlice) -> None:
        """Make a slice claimable."""
        turn = self._turns.get(part.export.group)
        if turn is None:
            turn = self._turns[part.export.group] = _Turn(part.export.group)
        part.is_claimable = True
        turn.claimable[part.yielding] += 1
        entry = (part.waited_since, part.export.id, part.number, next(self._entries), part)
        heappush(turn.waiting[part.yielding], entry)
        self._list(turn)

    def withdraw(self, part: SimulatedSlice) -> None:
        """Take a claimable slice back: its export has ended."""
        if part.is_claimable:
            part.is_claimable = False
            self._turns[part.export.group].claimable[part.yielding] -= 1

    def release(self, part: SimulatedSlice) -> None:
        """End a lease: its worker has released the slice, or died `lease_seconds` ago."""
        turn = self._turns[part.export.group]
        turn.running -= 1
        self._list(turn)

    def claim(self, at: float, *, small_only: bool = False) -> SimulatedSlice | None:
        """Claim the slice whose turn it is; None if there is nothing to do."""
        order = self._order[small_only]
        while order:
            served_at, group = order[0]
            turn = self._turns[group]
            if served_at != turn.served_at:  # served meanwhile by the other kind of worker, which has listed it again
                heappop(order)
            elif not (self._has_room(turn) and turn.has_claimable(small_only=small_only)):
                heappop(order)
                turn.listed[small_only] = False
            else:
                return self._take(turn, at, small_only=small_only)
        return None

    def _take(self, turn: _Turn, at: float, *, small_only: bool) -> SimulatedSlice:
        export = _next_export(turn, at, small_only=small_only)
        limit = YieldKind.FURTHER if small_only else YieldKind.LARGE
        free = [part for part in export.parts if part.is_claimable and part.yielding <= limit]
        part = free[0] if len(free) == 1 else min(free, key=lambda part: (part.waited_since, part.number))
        self.withdraw(part)
        part.waited_since = at
        turn.running, turn.served_at = turn.running + 1, at
        turn.listed = [False, False]
        self._list(turn)
        return part

    def _list(self, turn: _Turn) -> None:
        """Put a group that can be served into the heaps of turns."""
        if not self._has_room(turn):
            return
        for small_only in (False, True):
            if not turn.listed[small_only] and turn.has_claimable(small_only=small_only):
                heappush(self._order[small_only], (turn.served_at, turn.group))
                turn.listed[small_only] = True

    def _has_room(self, turn: _Turn) -> bool:
        return turn.group == PEOPLE or turn.running < self._volumes_max


def _next_export(turn: _Turn, at: float, *, small_only: bool) -> WaitingExport:
    """Return the export whose slice has waited longest, those that give way after the others."""
    keys: list[tuple[bool, float, str, WaitingExport]] = []
    for kind in _KINDS[: YieldKind.LARGE if small_only else None]:
        if not turn.claimable[kind] or (first := turn.first(kind)) is None:
            continue
        since, identifier, *_, part = first
        gives_way = kind is not YieldKind.NO and at - YIELDS_SECONDS < since
        keys.append((gives_way, since, identifier, part.export))
    return min(keys, key=lambda key: key[:3])[3]
