"""Sources at which workers die: what ends a process costs the datasets that it reads, and not the export.

Nothing catches a fault of a C library, or the kernel's out-of-memory killer: the volume is written again, and the
next worker dies at the same call. Therefore a volume that has used its usual tries is read with care. Before each
call its row names the source that is asked, one at a time, and an end in order removes the name: a name that the next
claim finds is that of a source at which the worker died.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from portability.api.errors import WorkerDied

DEATHS_MAX = 2
"""After this number of deaths a source is not asked any more. One alone may have another cause, such as a power cut."""
Deaths: TypeAlias = Mapping[str, int]
Note: TypeAlias = Callable[[str, Deaths], None]
"""Stores the source that is asked next, and how many workers have died at each."""


@dataclass(slots=True)
class SuspectSources:
    """How many workers have died at the sources of a slice; `note` is there if each call is stored beforehand."""

    deaths: Deaths = field(default_factory=dict)
    note: Note | None = None
    _asked: str | None = None

    @property
    def is_careful(self) -> bool:
        """Return whether one source is asked at a time, and nothing is read ahead."""
        return self.note is not None

    def admit(self, name: str) -> None:
        """Store that a source is asked now. Raises WorkerDied if it is not asked any more; what `note` raises."""
        died = self.deaths.get(name, 0)
        if died >= DEATHS_MAX:
            raise WorkerDied(f"{name}: {died} workers died while they asked it")
        if self.note is not None and name != self._asked:
            self.note(name, self.deaths)
            self._asked = name
