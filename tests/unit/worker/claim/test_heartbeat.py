from __future__ import annotations

import os

import pytest

from worker.claim.heartbeat import Heartbeat, Watch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moments = [1000.0]
    monkeypatch.setattr("worker.claim.heartbeat.time.monotonic", lambda: moments[0])
    return moments


def test_silence_is_counted_from_the_last_beat_that_was_seen(clock: list[float]) -> None:
    """The beginning of a watch counts as a beat: a process that hangs before its first beat is silent, too."""
    process_heartbeat = Heartbeat()
    watch = Watch(process_heartbeat)
    clock[0] += 9
    assert watch.silent_seconds() == 9
    process_heartbeat.beat()
    assert watch.silent_seconds() == 0
    clock[0] += 5
    assert watch.silent_seconds() == 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_parent_feels_the_pulse_of_its_child() -> None:
    """The memory is shared over a fork, and outlives the child."""
    process_heartbeat = Heartbeat()
    child = os.fork()
    if child == 0:
        process_heartbeat.beat()
        os._exit(0)
    os.waitpid(child, 0)
    assert process_heartbeat.beats == 1
