"""One wake-up serves all that waits, and each claim has a process of its own (ADR 73)."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from watched import SLOW, Watched, watched
from workers import family, has_killed, until

from portability.database.engine import writing
from portability.queue import open_queue, wake
from portability.requests import acceptance
from portability.requests.policy import Actor


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Watched]:
    """A worker without a clock: nothing else wakes it, also if a short lease is lost on a busy machine."""
    with watched(tmp_path_factory.mktemp("followers"), redis_server, SLOW, LEASE_SECONDS="10") as running:
        running.rests(running.ask("access"))
        running.deployed.processes[1].terminate()
        running.deployed.processes[1].wait(30)
        yield running


def different_requests(alone: Watched, count: int) -> list[str]:
    """Requests that differ: an open request would be returned instead of an identical one."""
    asked = []
    with writing(alone.engine) as connection:
        for number in range(count):
            since = f"{2000 + number}-01-01"
            wanted = acceptance.check(profile="access", subject=alone.subjects["access"], since=since)
            asked.append(acceptance.accept(connection, wanted, actor=Actor("operator", "test"))[0])
    return asked


def test_one_wake_up_serves_all_that_waits_each_in_a_process_of_its_own(alone: Watched) -> None:
    """Five exports, one message: five child processes one after the other, and none is left afterwards.

    After 10 s the worker sends itself a second message. A child logs its volume after the commit that others see, so
    the log is complete when no child is left.
    """
    asked = different_requests(alone, 5)
    alone.redis.flushdb()
    wake(open_queue(alone.redis), asked[0])
    until(lambda: all(alone.state(identifier) == "ready" for identifier in asked), "all are ready", seconds=60)
    until(lambda: not family(alone.deployed), "no horse is left", seconds=30)
    lines = [orjson.loads(line) for line in alone.deployed.log.read_bytes().splitlines() if line.startswith(b"{")]
    writers = {line["export"]: line["process"] for line in lines if line["event"] == "volume.stored"}
    assert len({writers[identifier] for identifier in asked}) == 5
    assert len([*alone.redis.scan_iter("rq:job:*", _type="hash")]) < 5


def test_the_death_of_a_later_child_is_counted(alone: Watched) -> None:
    """RQ knows only the first child of a message: the worker counts the others, and goes on."""
    before = alone.counts().get("horse_died", 0)
    asked = different_requests(alone, 8)
    wake(open_queue(alone.redis), asked[0])
    seen: set[int] = set()

    def has_killed_a_later_child() -> bool:
        children = family(alone.deployed)
        seen.update(children)
        return len(seen) > 1 and any(map(has_killed, children))

    until(has_killed_a_later_child, "a second child works", seconds=60)
    until(lambda: alone.counts().get("horse_died", 0) > before, "it is counted", seconds=30)
    assert alone.counts()["horse_died"] == before + 1

    def are_ready() -> bool:
        wake(open_queue(alone.redis), asked[0])
        return all(alone.state(identifier) == "ready" for identifier in asked)

    until(are_ready, "all are ready", seconds=120)
