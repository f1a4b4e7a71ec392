"""How long work lies still after its child process was killed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from chaos.faults import Hit
from chaos.rows import Look, SliceRow
from chaos.stack import LEASE_SECONDS

CLAIMED_AGAIN_SECONDS = LEASE_SECONDS + 10
"""The promise, where nothing else is down: the lease runs out, the clock sends a wake-up, a worker is free."""

Claims: TypeAlias = Mapping[tuple[str, int], str | None]
"""The token of the last claim of each slice: (export, number)."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Work that lay still after a child process was killed or a database was replaced, and went on."""

    kind: str
    seconds: float
    allowed_seconds: float
    """The promise, and what was down meanwhile."""


@dataclass
class Recoveries:
    """Of one seed."""

    done: list[Recovery] = field(default_factory=list)
    _waiting: list[tuple[str, SliceRow, float]] = field(default_factory=list)
    _outage_seconds: float = 0
    _moved: tuple[str, float, Claims | None] | None = None
    """The last failover: its kind, its time, and the claims that it left."""

    def hit(self, kind: str, hit: Hit, look: Look) -> None:
        """A fault has been done; `look` is of just before."""
        self._outage_seconds += hit.outage_seconds
        at = time.monotonic()
        self._waiting += [(kind, one, at) for one in look.slices if one.owner in hit.killed]

    def see(self, look: Look) -> None:
        fences = {(one.export, one.number): one.fence for one in look.slices}
        still = []
        for kind, lost, at in self._waiting:
            fence = fences.get((lost.export, lost.number))
            if fence == lost.fence:
                still.append((kind, lost, at))
            elif fence is not None and fence > lost.fence:  # else its commit had got through, or its claim was lost
                allowed = CLAIMED_AGAIN_SECONDS + self._outage_seconds
                self.done.append(Recovery(kind, time.monotonic() - at, allowed))
        self._waiting = still
        self._see_moved(look)

    def moved(self, kind: str, away_seconds: float) -> None:
        """The control database takes writes again, after a failover or restore: the work must go on."""
        self._outage_seconds += away_seconds
        self._moved = (kind, time.monotonic(), None)

    def _see_moved(self, look: Look) -> None:
        if self._moved is None:
            return
        kind, at, before = self._moved
        claims = {(one.export, one.number): one.token for one in look.slices}
        if before is None:
            self._moved = (kind, at, claims) if claims else None
        elif claims != before:
            allowed = CLAIMED_AGAIN_SECONDS + self._outage_seconds
            self.done.append(Recovery(kind, time.monotonic() - at, allowed))
            self._moved = None
