"""What strangers, and other versions of this software, write to Redis: a real worker survives it and continues.

The clock of this deployment sleeps: what is claimed here was woken by the message that a test has sent.
"""

from __future__ import annotations

import json
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rq.serializers import JSONSerializer
from watched import QUICK, Watched, watched
from workers import family, until

from portability.queue import FAILURE_TTL_SECONDS, MESSAGE_BYTES_MAX, QUEUE, TASK, AllowedJob, open_queue, wake

LIST = f"rq:queue:{QUEUE}"
POPPED = f"{LIST}:intermediate"


class WatchedQueue(Watched):
    """A worker that runs, and its queue."""

    def send(self, fields: Mapping[str, Any]) -> str:
        """A message with these fields of its hash, none of them checked."""
        identifier = secrets.token_hex(8)
        for name, value in fields.items():
            self.redis.hset(f"rq:job:{identifier}", name, value)
        self.redis.rpush(LIST, identifier)
        return identifier

    def has_counted(self, kind: str, number: int) -> bool:
        return self.counts().get(kind, 0) >= number

    def quiet(self) -> None:
        """No message is on its way; asked for in the order of the way, so that none slips past."""

        def nothing() -> bool:
            return not self.redis.llen(LIST) and not self.redis.llen(POPPED) and not family(self.deployed)

        until(nothing, "no message is on its way", seconds=30)

    def goes_on(self) -> bool:
        """Return whether the worker is the same process as before, and handles our next message."""
        asked = self.ask("access")
        wake(open_queue(self.redis), asked)
        self.ready(asked)
        return self.deployed.processes[0].poll() is None


@pytest.fixture(scope="module")
def watched_queue(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[WatchedQueue]:
    # No clock would wake a worker for an export whose lease was lost on a busy machine.
    folder = tmp_path_factory.mktemp("messages")
    with watched(folder, redis_server, QUICK, CLOCK_SECONDS="3600", LEASE_SECONDS="30") as running:
        yield WatchedQueue(running.deployed, running.engine, running.redis, running.subjects)


def call(*parts: Any) -> bytes:
    return json.dumps(parts).encode()


FORGED: Mapping[str, Mapping[str, Any]] = {
    "a pickle": {"data": b"\x80\x04\x8c\x05posix\x8c\x06system\x93."},
    "not JSON": {"data": b"\xff\x00\xfe"},
    "truncated": {"data": call(TASK, None, ["x"], {})[:-9]},
    "too few parts": {"data": call(TASK)},
    "an object": {"data": b'{"a": 1, "b": 2, "c": 3, "d": 4}'},
    "deep": {"data": zlib.compress(b"[" * 1_000_000)},
    "a bomb": {"data": zlib.compress(b" " * 40_000_000)},
    "huge": {"data": secrets.token_bytes(4 * MESSAGE_BYTES_MAX)},
    "huge elsewhere": {"data": call(TASK, None, [], {}), "meta": secrets.token_bytes(4 * MESSAGE_BYTES_MAX)},
    "a function that is not a name": {"data": call([TASK], None, [], {})},
    "a method": {"data": call(TASK, "instance", [], {})},
    "arguments that are not a list": {"data": call(TASK, None, 7, {})},
    "named arguments that are not a mapping": {"data": call(TASK, None, [], 7)},
    "no such status": {"data": call(TASK, None, [], {}), "status": "dancing"},
}


def test_an_invalid_message_is_removed_and_counted(watched_queue: WatchedQueue) -> None:
    """For any content of the hash: one count, nothing left in Redis, and the worker handles the next message."""
    first = watched_queue.counts().get("forged_message", 0)
    sent: dict[str, str] = {}
    for number, (name, fields) in enumerate(FORGED.items(), start=first + 1):
        sent[name] = watched_queue.send(fields)
        until(partial(watched_queue.has_counted, "forged_message", number), f"{name} is counted", seconds=30)
    assert watched_queue.goes_on()
    assert watched_queue.counts()["forged_message"] == first + len(FORGED)
    popped = watched_queue.redis.lrange(POPPED, 0, -1)
    for name, identifier in sent.items():
        assert not watched_queue.redis.exists(f"rq:job:{identifier}"), name
        assert identifier.encode() not in popped, name


def test_a_message_cannot_name_another_function(watched_queue: WatchedQueue, tmp_path: Path) -> None:
    """RQ would import and call any name that it reads."""
    before = watched_queue.counts().get("forged_message", 0)
    marker = tmp_path / "marker"
    watched_queue.send({"data": call("subprocess.getoutput", None, [f"touch {marker}"], {})})
    until(lambda: watched_queue.counts().get("forged_message", 0) == before + 1, "it is counted", seconds=30)
    assert watched_queue.goes_on()
    assert not marker.exists()


def test_an_invalid_id_does_not_stop_the_worker(watched_queue: WatchedQueue) -> None:
    """Of no hash at all, in no text at all."""
    for entry in (b"\xff\xfe", b"a b/../c", b"x" * 100_000):
        watched_queue.redis.rpush(LIST, entry)
        assert watched_queue.goes_on(), entry[:9]
    until(lambda: watched_queue.redis.llen(LIST) == 0, "nothing is left in the queue", seconds=30)


def test_a_hash_without_a_call_does_not_stop_the_worker(watched_queue: WatchedQueue) -> None:
    """Fields are missing, or empty: RQ passes over it, or it is refused."""
    for fields in ({"status": "queued"}, {"data": b""}, {"x": b"y"}):
        watched_queue.send(fields)
        assert watched_queue.goes_on(), fields
    until(lambda: watched_queue.redis.llen(LIST) == 0, "nothing is left in the queue", seconds=30)


def test_a_message_of_another_type_does_not_stop_the_worker(watched_queue: WatchedQueue) -> None:
    """Its key holds text, not a hash."""
    watched_queue.redis.set("rq:job:text", "text")
    watched_queue.redis.rpush(LIST, "text")
    assert watched_queue.goes_on()
    assert not watched_queue.redis.exists("rq:job:text")


def test_what_rq_cannot_tidy_up_does_not_stop_the_worker(watched_queue: WatchedQueue) -> None:
    """A worker that starts cleans RQ's registries, and meets garbage in the hash of what seems to be running."""
    watched_queue.redis.hset("rq:job:old", mapping={"data": b"x", "status": "dancing"})
    watched_queue.redis.zadd(f"rq:wip:{QUEUE}", {"old:execution": 1})
    watched_queue.redis.rpush(POPPED, b"\xff\xfe")
    first = watched_queue.deployed.processes[0]
    first.terminate()
    first.wait(30)
    watched_queue.deployed.processes[0] = watched_queue.deployed.start("worker")
    assert watched_queue.goes_on()
    assert b"\xff\xfe" not in watched_queue.redis.lrange(POPPED, 0, -1)


UNEXPECTED: Mapping[str, tuple[list[Any], dict[str, Any], set[str]]] = {
    "of the release before": (["{id}"], {}, set()),
    "of a later release": (["{id}", 99], {}, {"foreign_message"}),
    "of a much later release": (["{id}", 99, "more"], {"named": 1}, {"foreign_message"}),
    "an unknown id": (["unknown"], {}, {"unknown_export"}),
    "an id that is not a text": ([{"id": "\0"}, 1], {}, {"unknown_export"}),
    "no id": ([], {}, {"unknown_export"}),
}


@pytest.mark.parametrize(("arguments", "named", "counted"), UNEXPECTED.values(), ids=UNEXPECTED)
def test_arguments_decide_nothing(
    watched_queue: WatchedQueue, arguments: list[Any], named: dict[str, Any], counted: set[str]
) -> None:
    """For any arguments, the worker claims by turn; signs of another program are counted."""
    watched_queue.redis.delete(POPPED)  # what RQ has passed over
    watched_queue.quiet()
    before, asked = watched_queue.counts(), watched_queue.ask("access")
    sent = [asked if argument == "{id}" else argument for argument in arguments]
    watched_queue.send({"data": call(TASK, None, sent, named), "status": "queued"})
    watched_queue.ready(asked)
    watched_queue.quiet()
    more = {kind for kind, count in watched_queue.counts().items() if count > before.get(kind, 0)}
    assert more == counted


def test_redis_keeps_nothing_for_long(watched_queue: WatchedQueue) -> None:
    """A result for a minute, a failure for an hour, and of a failure no word of its error."""
    watched_queue.redis.flushall()  # removes what other programs left
    assert watched_queue.goes_on()
    # A call that is allowed and fails: the storage folder is not the folder that the database expects.
    archives = watched_queue.deployed.folder / "archives"
    hidden = archives.rename(archives.with_suffix(".hidden"))
    try:
        failed = watched_queue.send({"data": call(TASK, None, ["jane4711"], {}), "status": "queued"})
        until(lambda: watched_queue.redis.hget(f"rq:job:{failed}", "status") == b"failed", "it fails", seconds=30)
        until(lambda: not family(watched_queue.deployed), "its horse has gone", seconds=30)
    finally:
        shutil.rmtree(archives)
        hidden.rename(archives)
    kept: list[bytes] = [*watched_queue.redis.scan_iter("rq:job:*"), *watched_queue.redis.scan_iter("rq:results:*")]
    lives = {key: watched_queue.redis.ttl(key) for key in kept}
    result = AllowedJob.fetch(failed, connection=watched_queue.redis, serializer=JSONSerializer).latest_result()
    assert len(lives) > 1
    assert all(0 < seconds <= FAILURE_TTL_SECONDS for seconds in lives.values())
    assert result is not None
    assert result.exc_string == "it failed: see the worker's log"
    assert watched_queue.goes_on()
