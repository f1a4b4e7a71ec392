"""What the audit log has beside changes: reads by staff, refusals, failed logins and tokens (docs/audit.md).

Such events can repeat without end. The first is recorded at once; repeats within ten minutes are counted, and recorded
as one event with their number.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portability.database.engine import writing
from portability.errors import DatabaseUnavailable
from portability.people.actor_names import issuer_of
from portability.trust import audit

WINDOW_SECONDS = 600.0
KINDS_MAX = 1000
"""Different events that are counted at once; beyond this number the oldest count is recorded early."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An event without its time; equal events are repeats."""

    action: str
    actor: str
    export_id: str | None = None
    detail: tuple[tuple[str, str], ...] = ()
    issuer: str = ""
    """Who authenticated the actor: equal ids of two issuers are two people."""


@dataclass(slots=True)
class _Window:
    ends_at: float
    repeats: int = 0


class Observations:
    """The observations of a process; for several threads."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._windows: OrderedDict[Observation, _Window] = OrderedDict()
        self._due: list[tuple[Observation, int]] = []
        self._lock = threading.Lock()

    def note(self, action: str, actor: str, export_id: str | None = None, /, **detail: str) -> None:
        """Count an event; `write` records it. A detail has codes and opaque ids only."""
        seen = Observation(action, actor, export_id, tuple(sorted(detail.items())), issuer_of(actor))
        with self._lock:
            window = self._windows.get(seen)
            if window and self._clock() < window.ends_at:
                window.repeats += 1
                return
            self._close_ended()
            self._due.append((seen, 0))
            self._windows[seen] = _Window(self._clock() + WINDOW_SECONDS)

    @property
    def is_due(self) -> bool:
        """Return whether `write` has something to record."""
        return bool(self._due)

    def write(self) -> None:
        """Record what is due. Raises DatabaseUnavailable; then it stays due."""
        with self._lock:
            due, self._due = self._due, []
        try:
            with writing(self._engine) as connection:
                for seen, repeats in due:
                    counted = {"repeats": repeats} if repeats else {}
                    detail: audit.Detail = {**dict(seen.detail), **counted}
                    audit.record(connection, seen.action, actor=seen.actor, export_id=seen.export_id, detail=detail)
        except Exception:
            with self._lock:
                self._due = due + self._due
            raise

    def end(self) -> None:
        """Record all counts, before the process ends."""
        with self._lock:
            for seen in list(self._windows):
                self._close(seen)
        if self._due:
            self.write()

    def _close_ended(self) -> None:
        """Close the windows that have ended, and the oldest if there are too many. The oldest is the first."""
        while self._windows:
            oldest, window = next(iter(self._windows.items()))
            if self._clock() < window.ends_at and len(self._windows) < KINDS_MAX:
                return
            self._close(oldest)

    def _close(self, seen: Observation) -> None:
        window = self._windows.pop(seen, None)
        if window and window.repeats:
            self._due.append((seen, window.repeats))


class Observed:
    """A layer that records what was observed before the answer begins."""

    def __init__(self, app: ASGIApp, *, observations: Observations) -> None:
        self._app = app
        self._observations = observations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold back the beginning of its answer."""

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and self._observations.is_due:
                with suppress(DatabaseUnavailable):  # it stays due, and a later answer records it
                    await run_in_threadpool(self._observations.write)
            await send(message)

        await self._app(scope, receive, recorded)
