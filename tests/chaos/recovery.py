"""How long work lies still after its child process was killed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from chaos.faults import Hit
from chaos.rows import Look, SliceRow
from chaos.stack import LEASE_SECONDS

CLAIMED_AGAIN_SECONDS = LEASE_SECONDS + 10
"""The promise, where nothing else is down: the lease runs out, the clock sends a wake-up, a worker is free."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A slice whose child process was killed, and that was claimed again."""

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
            elif fence is not None:  # None: its commit had got through
                allowed = CLAIMED_AGAIN_SECONDS + self._outage_seconds
                self.done.append(Recovery(kind, time.monotonic() - at, allowed))
        self._waiting = still
