"""Retries for a storage that does not answer: exponential waits with jitter, for some minutes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from threading import Event
from typing import TypeVar

from portability.api.errors import StorageUnavailable

T = TypeVar("T")

_DOUBLINGS_MAX = 20


@dataclass(frozen=True, slots=True)
class Retry:
    """The time limits of retrying one request. `clock` and `wait` are fields so that tests need no time."""

    patience_seconds: float = 180
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 15
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[Event, float], object] = Event.wait

    def call(self, attempt: Callable[[], T], stop: Event) -> T:
        """Return the attempt's result; retries on StorageUnavailable until the time limit, or until `stop` is set."""
        give_up_at = self.clock() + self.patience_seconds
        for failures in count():
            try:
                return attempt()
            except StorageUnavailable:
                longest = min(self.longest_wait_seconds, self.first_wait_seconds * 2 ** min(failures, _DOUBLINGS_MAX))
                seconds = random.uniform(longest / 2, longest)  # noqa: S311  # jitter is not a secret
                if stop.is_set() or self.clock() + seconds > give_up_at:
                    raise
            self.wait(stop, seconds)
        raise AssertionError("count() has no end")
