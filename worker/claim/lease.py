"""The lease: a thread that renews the claim and learns of a cancellation, and the checks that the pipeline makes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Protocol, cast

from sqlalchemy import Engine

from portability.errors import Cancelled, DatabaseUnavailable, Draining, LeaseLost
from worker.claim.claims import Claim
from worker.claim.fenced_writes import renew
from worker.claim.heartbeat import process_heartbeat

RENEWALS_PER_LEASE = 4
TELL_SECONDS = 1.0
"""How often the progress of the volume is published."""

Tally = Mapping[str, int | str | None]
"""How far a volume is, and what it waits for."""
Progress = Callable[[], Mapping[str, int]]
Renewal = Callable[[float, Tally], bool]
"""Renews a claim for some seconds and stores its progress; returns whether to stop. Raises LeaseLost."""


class Claimed(Protocol):
    """Something that can be claimed."""

    @property
    def id(self) -> str:
        """The id of its export."""
        ...

    @property
    def cancelled(self) -> bool: ...


class Drain:
    """Set by SIGTERM: how long this process may continue its volume."""

    def __init__(self) -> None:
        self._until: float | None = None

    def begin(self, seconds: float) -> None:
        """Start the countdown; a second signal does not extend it."""
        if self._until is None:
            self._until = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until

    @property
    def begun(self) -> bool:
        return self._until is not None


drain = Drain()


class Lease:
    """Keeps a claim valid while a volume is written."""

    def __init__(self, engine: Engine, claim: Claimed, lease_seconds: float, renewal: Renewal | None = None) -> None:
        """Prepare the renewal; `renewal` replaces the renewal of slices."""
        self._claim = claim
        self._renewal = renewal or partial(renew, engine, cast("Claim", claim))
        self._lease_seconds = lease_seconds
        self._cancelled = claim.cancelled
        self._lost = False
        self._valid_until = time.monotonic() + lease_seconds
        self._stop = threading.Event()
        self.progress: Progress = dict
        """Called in the background; set it as soon as there is progress to report."""
        self._wait: Tally = {}

    def check(self) -> None:
        """Check before continuing, at least once per block. Raises LeaseLost, Cancelled, Draining."""
        # After half a lease without an answer of the database: stop while no other worker can have claimed it yet.
        if self._lost or time.monotonic() > self._valid_until - self._lease_seconds / 2:
            raise LeaseLost(f"export {self._claim.id}: the lease was not renewed in time")
        if self._cancelled:
            raise Cancelled(f"export {self._claim.id} was cancelled")
        if drain.over:
            raise Draining(f"export {self._claim.id}: this worker is stopping")

    def report_wait(self, source: str | None, code: str | None) -> None:
        """Note the source that the volume waits for and the code of its last fault; None: it waits for no source."""
        if source is None:
            self._wait = {}
        else:
            self._wait = {"waits_for": source, "code": code or self._wait.get("code")}

    def _renew(self) -> None:
        every_seconds = self._lease_seconds / RENEWALS_PER_LEASE
        reported: Tally = {}
        while not self._stop.wait(min(TELL_SECONDS, every_seconds)):
            process_heartbeat.beat()
            asked_at = time.monotonic()
            progress = {**self.progress(), **self._wait}
            if progress == reported and asked_at + self._lease_seconds - self._valid_until < every_seconds:
                continue
            try:
                self._cancelled = self._renewal(self._lease_seconds, progress)
            except LeaseLost:
                self._lost = True
                return
            except DatabaseUnavailable:
                continue
            self._valid_until, reported = asked_at + self._lease_seconds, progress

    @contextmanager
    def renewed(self) -> Iterator[Lease]:
        """Renew the lease in the background during the block."""
        thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
