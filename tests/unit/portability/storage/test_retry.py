from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

import pytest

from portability.api.errors import StorageRefused, StorageUnavailable
from portability.storage.retry import Retry


@dataclass
class Clock:
    """Time that passes only during a wait."""

    seconds: float = 0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def wait(self, _stop: Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds


def failing(times: int) -> tuple[list[int], Retry, Clock]:
    clock = Clock()
    retry = Retry(patience_seconds=60, first_wait_seconds=1, longest_wait_seconds=8, clock=clock.now, wait=clock.wait)
    return [times], retry, clock


def test_waits_double_up_to_the_longest() -> None:
    """Waits grow exponentially, with jitter below, up to a bound."""
    left, retry, clock = failing(6)

    def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise StorageUnavailable("not now")
        return "done"

    assert retry.call(attempt, Event()) == "done"
    assert all(b / 2 <= wait <= b for wait, b in zip(clock.waits, [1, 2, 4, 8, 8, 8], strict=True))


def test_patience_ends() -> None:
    """What never works is given up within the patience, with the last error."""
    _, retry, clock = failing(0)

    def attempt() -> None:
        raise StorageUnavailable("not now")

    with pytest.raises(StorageUnavailable, match="not now"):
        retry.call(attempt, Event())
    assert 60 - 8 <= clock.seconds <= 60


def test_a_refusal_is_not_tried_again() -> None:
    """What cannot get better is not waited for."""
    _, retry, clock = failing(0)

    def attempt() -> None:
        raise StorageRefused("no")

    with pytest.raises(StorageRefused):
        retry.call(attempt, Event())
    assert clock.waits == []


def test_stop_ends_the_patience() -> None:
    """An upload that is being aborted waits for nothing."""
    _, retry, clock = failing(0)
    stop = Event()
    stop.set()

    def attempt() -> None:
        raise StorageUnavailable("not now")

    with pytest.raises(StorageUnavailable):
        retry.call(attempt, stop)
    assert clock.waits == []
