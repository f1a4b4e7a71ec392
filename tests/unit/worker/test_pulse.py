from __future__ import annotations

import os

import pytest

from worker.pulse import Pulse, Watch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moments = [1000.0]
    monkeypatch.setattr("worker.pulse.time.monotonic", lambda: moments[0])
    return moments


def test_silence_is_counted_from_the_last_beat_that_was_seen(clock: list[float]) -> None:
    """The beginning of a watch counts as a beat: who hangs before the first one is silent, too."""
    pulse = Pulse()
    watch = Watch(pulse)
    clock[0] += 9
    assert watch.silent_seconds() == 9
    pulse.beat()
    assert watch.silent_seconds() == 0
    clock[0] += 5
    assert watch.silent_seconds() == 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_parent_feels_the_pulse_of_its_child() -> None:
    """The memory is shared over a fork, and outlives the child."""
    pulse = Pulse()
    child = os.fork()
    if child == 0:
        pulse.beat()
        os._exit(0)
    os.waitpid(child, 0)
    assert pulse.beats == 1
