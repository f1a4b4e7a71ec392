from __future__ import annotations

import json
import signal
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import servers
from factories import MadeUpExporter, things, world
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import JobStatus
from rq.serializers import DefaultSerializer, JSONSerializer
from workers import until

from portability import queue as queue_module
from portability.errors import QueueUnavailable
from portability.queue import (
    MESSAGE_VERSION,
    QUEUE,
    REST_SECONDS,
    TASK,
    AllowedJob,
    RequestWaker,
    WakeUps,
    beat_clock,
    check_writable,
    connect,
    open_queue,
    wake,
)
from portability.settings import load_settings
from worker.clock.dispatch import dispatch


@pytest.fixture
def queue(redis_url: str) -> Iterator[WakeUps]:
    connection = connect(redis_url)
    yield open_queue(connection)
    connection.close()


@pytest.fixture
def handlers() -> Iterator[None]:
    """RQ's workers take over the signals of the process that they run in."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def work_off(queue: WakeUps) -> None:
    worker = SimpleWorker([queue], connection=queue.connection, serializer=JSONSerializer, job_class=AllowedJob)
    worker.work(burst=True, logging_level="CRITICAL")


def all_keys(connection: Redis) -> dict[bytes, Any]:
    """Every key of the database with its value, of any type; compressed values are unpacked."""
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"string": connection.get,
        b"hash": lambda key: {name: _plain(value) for name, value in connection.hgetall(key).items()},
        b"list": lambda key: connection.lrange(key, 0, -1),
        b"set": connection.smembers,
        b"zset": lambda key: connection.zrange(key, 0, -1, withscores=True),
        b"stream": connection.xrange,
    }
    keys: list[Any] = list(connection.scan_iter())
    types: list[Any] = [connection.type(key) for key in keys]
    return {key: readers[kind](key) for key, kind in zip(keys, types, strict=True)}


def _plain(value: Any) -> Any:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def test_a_wake_up_is_json_and_names_the_one_task(queue: WakeUps) -> None:
    """Redis contains only a function's name and an opaque id; nothing there is a pickle."""
    wake(queue, "abc234")
    (job,) = queue.jobs
    stored = all_keys(queue.connection)[f"rq:job:{job.id}".encode()]
    assert json.loads(stored[b"data"]) == [TASK, None, ["abc234", MESSAGE_VERSION], {}]
    assert stored[b"description"] == b"advance abc234"


@pytest.mark.usefixtures("handlers")
def test_a_message_cannot_name_another_function(queue: WakeUps, tmp_path: Path) -> None:
    """RQ imports any name in Redis: the allow-list does not, and the job fails without having run."""
    marker = tmp_path / "marker"
    stranger = Queue(QUEUE, connection=queue.connection, serializer=JSONSerializer)
    job = stranger.enqueue("subprocess.getoutput", f"touch {marker}")
    work_off(queue)
    assert not marker.exists()
    assert job.get_status() is JobStatus.FAILED


@pytest.mark.usefixtures("handlers")
def test_the_allow_list_is_what_holds_it_back(queue: WakeUps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same message runs where its function is allowed: the test above can fail."""
    monkeypatch.setattr(queue_module, "ALLOWED", frozenset({"subprocess.getoutput"}))
    marker = tmp_path / "marker"
    Queue(QUEUE, connection=queue.connection, serializer=JSONSerializer).enqueue(
        "subprocess.getoutput", f"touch {marker}"
    )
    work_off(queue)
    assert marker.exists()


@pytest.mark.usefixtures("handlers")
def test_a_pickle_in_the_queue_is_not_read(queue: WakeUps, tmp_path: Path) -> None:
    """A message in RQ's default serializer is code for the process that unpickles it: this worker reads only JSON."""
    marker = tmp_path / "marker"
    stranger = Queue(QUEUE, connection=queue.connection, serializer=DefaultSerializer)
    stranger.enqueue(Path.touch, marker)
    work_off(queue)
    assert not marker.exists()


def test_of_a_message_only_its_call_is_taken(queue: WakeUps) -> None:
    """A stranger's message names callbacks, webhooks, a timeout, repetitions: none of them is heard."""
    fields = {
        **{f"{when}_callback_name": "os.abort" for when in ("success", "failure", "stopped")},
        "webhooks": json.dumps([{"url": "http://127.0.0.1:1/", "job_status": "failed"}]),
        "timeout": 1,
        "retries_left": 99,
        "repeats_left": 99,
        "result_ttl": -1,
        "failure_ttl": -1,
        "origin": "elsewhere",
        "created_at": "yesterday",
        "rate_limit_key": "x",
        "rate_limit_concurrency": 1,
    }
    wake(queue, "abc234")
    (sent,) = queue.jobs
    for name, value in fields.items():
        queue.connection.hset(f"rq:job:{sent.id}", name, str(value))
    job = AllowedJob.fetch(sent.id, connection=queue.connection, serializer=JSONSerializer)
    assert isinstance(job, AllowedJob)
    assert job.is_ours
    assert (job.func_name, job.args, job.get_status(refresh=False)) == (TASK, ["abc234", 1], JobStatus.QUEUED)
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    assert (job.webhooks, job.should_retry, job.repeats_left, job.has_rate_limit) == ([], False, None, False)
    assert (job.origin, job.timeout, job.result_ttl, job.failure_ttl) == (QUEUE, -1, 60, 3600)


def test_no_personal_data_reaches_redis(queue: WakeUps, tmp_path: Path) -> None:
    """After a request, a wake-up and a dispatch, Redis holds ids of exports and nothing of any subject."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))})
    identifier = made.request("contact:jane-4711", tenant="acme-4712", reason="she wrote to us")
    wake(queue, identifier)
    dispatch(made.engine, queue)
    made.advance_all()
    stored = repr(all_keys(queue.connection))
    assert identifier in stored
    assert not [word for word in ("jane", "4711", "acme", "4712", "she wrote", "sub_", "thing_") if word in stored]


def test_redis_that_is_away_is_one_error(tmp_path: Path) -> None:
    """No server: the caller hears QueueUnavailable, not a traceback of the client."""
    with connect(f"unix://{tmp_path}/nobody") as connection, pytest.raises(QueueUnavailable):
        wake(open_queue(connection), "abc234")


def test_the_embedded_valkey_is_found_while_it_runs(tmp_path: Path) -> None:
    """The folder contains its server's address: without that file, or where a killed stack left it, no server runs."""
    settings, path = load_settings(dir=tmp_path), tmp_path / "s"
    with pytest.raises(QueueUnavailable, match="no Valkey is running"):
        queue_module.redis_url(settings)
    (tmp_path / queue_module.VALKEY_URL_FILE).write_text(f"unix://{path}?db=0\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert queue_module.redis_url(settings) == f"unix://{path}?db=0"
    with pytest.raises(QueueUnavailable, match="no Valkey is running") as left:
        queue_module.redis_url(settings)
    assert "portability up" in left.value.hint
    assert queue_module.redis_url(load_settings(dir=tmp_path, redis_url="redis://host/0")) == "redis://host/0"


def test_a_frozen_redis_is_waited_for_once(tmp_path: Path) -> None:
    """A process that answers people waits for a Redis that takes connections and says nothing, and then not again."""
    tries: list[float] = []
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()

        def opened() -> Redis:
            tries.append(time.monotonic())
            return connect(f"unix://{tmp_path}/silent", answer_seconds=0.1)

        waker = RequestWaker(opened)
        began = time.monotonic()
        for _ in range(20):
            waker.wake("x")
        took_seconds = time.monotonic() - began
    assert len(tries) == 1
    assert took_seconds < REST_SECONDS / 2, took_seconds


def test_a_request_wakes_a_worker(queue: WakeUps) -> None:
    """Where Redis answers, each request sends its wake-up."""
    waker = RequestWaker(lambda: queue.connection)
    for identifier in ("x", "y"):
        waker.wake(identifier)
    assert queue.count == 2


def test_a_redis_that_cannot_save_says_why() -> None:
    """It answers, and refuses all writes (`stop-writes-on-bgsave-error`): the hint names its disk, not its address."""
    with servers.valkey() as server, connect(server.url) as client:
        refused = server.path.parent / "dump.rdb"
        refused.mkdir()  # as a full disk: the snapshot gets no file
        client.config_set("save", "3600 1")
        client.set("changed", "1")
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot has failed")
        queue = open_queue(client)
        errors = [_refusal(partial(act, queue)) for act in (check_writable, partial(beat_clock, every_seconds=1))]
        errors.append(_refusal(partial(wake, queue, "exp_1")))
        refused.rmdir()
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "the snapshot is stored")
        wake(queue, "exp_2")
    assert [error.hint.startswith("it cannot write to its disk: make room there") for error in errors] == [True] * 3


def _refusal(act: Callable[[], None]) -> QueueUnavailable:
    with pytest.raises(QueueUnavailable) as raised:
        act()
    return raised.value
