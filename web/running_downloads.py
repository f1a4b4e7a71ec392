"""A request for a volume that is being answered: its bytes are recorded while they are sent, and at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portability.delivery import downloads
from portability.tracing import traces
from web.context import AppContext

RECORDED_SECONDS = 60.0
"""How often the bytes of a running request are recorded: after a crash at most those of this time are not known."""


@dataclass(slots=True)
class RunningDownload:
    """One request of a download; for the threads of its answer, one after the other."""

    place: AppContext
    id: str
    """Of the download that the request belongs to."""
    export_id: str
    first: int
    """The offset of its first byte in the volume."""
    recorded: int = 0
    """How many of its bytes are recorded."""
    began_ns: int = field(default_factory=time.time_ns)
    recorded_at: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls,
        place: AppContext,
        link: Mapping[Any, Any],
        volume: Mapping[Any, Any],
        claim: str,
        device: str,
        *,
        first: int = 0,
        by_storage: bool = False,
    ) -> RunningDownload:
        """Record the request before its first byte is sent. Raises DatabaseUnavailable."""
        with place.writing() as connection:
            identifier = downloads.begin(connection, link, volume, claim, device=device, by_storage=by_storage)
        return cls(place, identifier, link["export_id"], first)

    def sent(self, total: int) -> None:
        """Record what was sent so far, at most once a minute. Raises DatabaseUnavailable."""
        if time.monotonic() - self.recorded_at >= RECORDED_SECONDS:
            self._record(total, is_over=False)

    def ended(self, total: int) -> None:
        """Record what was sent in all. Raises DatabaseUnavailable."""
        self._record(total, is_over=True)
        traces.record("download", self.export_id, self.began_ns, bytes=total)

    def _record(self, total: int, *, is_over: bool) -> None:
        first, count = self.first + self.recorded, total - self.recorded
        with self.place.writing() as connection:
            self.id = downloads.sent(connection, self.id, first, count, is_over=is_over)
        self.recorded, self.recorded_at = total, time.monotonic()
