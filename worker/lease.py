"""The lease: a thread that renews the claim and learns of cancelling, and the questions that the pipeline asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Protocol, cast

from sqlalchemy import Engine

from portability.errors import Cancelled, DatabaseUnavailable, Draining, LeaseLost
from worker.checkpoint import renew
from worker.claims import Claim
from worker.pulse import pulse

RENEWALS_PER_LEASE = 4
TELL_SECONDS = 1.0
"""How often those who watch learn how far the volume is."""

Progress = Callable[[], Mapping[str, int]]
Renewal = Callable[[float, Mapping[str, int]], bool]
"""Prolongs a claim by so many seconds and tells how far it is; returns whether to stop. Raises LeaseLost."""


class Claimed(Protocol):
    """What is held."""

    @property
    def id(self) -> str:
        """Of its export."""
        ...

    @property
    def cancelled(self) -> bool: ...


class Drain:
    """Set by SIGTERM: how long this process may still go on with its volume."""

    def __init__(self) -> None:
        self._until: float | None = None

    def begin(self, seconds: float) -> None:
        """Start the countdown; a second signal does not prolong it."""
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
    """Holds a claim while a volume is written."""

    def __init__(self, engine: Engine, claim: Claimed, lease_seconds: float, renewal: Renewal | None = None) -> None:
        """`renewal`: of what is no slice."""
        self._claim = claim
        self._renewal = renewal or partial(renew, engine, cast("Claim", claim))
        self._lease_seconds = lease_seconds
        self._cancelled = claim.cancelled
        self._lost = False
        self._valid_until = time.monotonic() + lease_seconds
        self._stop = threading.Event()
        self.progress: Progress = dict
        """Asked in the background; set it as soon as there is something to tell."""

    def check(self) -> None:
        """Ask before going on, at least once per block. Raises LeaseLost, Cancelled, Draining."""
        # Half a lease of silence from the database: stop while nobody else can have claimed it yet.
        if self._lost or time.monotonic() > self._valid_until - self._lease_seconds / 2:
            raise LeaseLost(f"export {self._claim.id}: the lease was not renewed in time")
        if self._cancelled:
            raise Cancelled(f"export {self._claim.id} was cancelled")
        if drain.over:
            raise Draining(f"export {self._claim.id}: this worker is stopping")

    def _renew(self) -> None:
        every_seconds = self._lease_seconds / RENEWALS_PER_LEASE
        told: Mapping[str, int] = {}
        while not self._stop.wait(min(TELL_SECONDS, every_seconds)):
            pulse.beat()
            asked_at = time.monotonic()
            telling = self.progress()
            if telling == told and asked_at + self._lease_seconds - self._valid_until < every_seconds:
                continue
            try:
                self._cancelled = self._renewal(self._lease_seconds, telling)
            except LeaseLost:
                self._lost = True
                return
            except DatabaseUnavailable:
                continue
            self._valid_until, told = asked_at + self._lease_seconds, telling

    @contextmanager
    def held(self) -> Iterator[Lease]:
        """Renew in the background for the length of the block."""
        thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
