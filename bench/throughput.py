"""`throughput`: small exports by two workers from a queue: one export costs the same however many wait.

A clock chains and dispatches, as in a deployment. Each export is a person's, in a process of its own. Printed: exports
per second, and seconds of processor of the workers for each of the oldest exports of the queue. The processor's time is
compared, because other programs on the machine do not change it much.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import orjson
import servers
from factories import World, world
from redis import Redis
from rq import Worker
from small_exports import PLAN
from sqlalchemy import create_engine, func, select
from workers import own_notice

from bench.figures import Figure, machine
from bench.surroundings import Surroundings, surroundings
from bench.worker import COMMAND
from demo.seed import seed
from exporters.reference.schema import users
from portability.database import models
from portability.database.engine import reading
from portability.processes import die_with_parent
from portability.queue import connect
from portability.storage import open_storage

QUEUED = (60, 100_000)
LONG_QUEUED = (60, 1_000, 10_000, 100_000)
MEASURED = 60
"""How many exports of each queue are measured: its oldest."""
ROUNDS = 3
"""Each queue is made and measured this often, in turn: the processor's speed changes with what else runs."""
WAITING = (
    """INSERT INTO export (id, profile, subject_kind, subject_id, subject_ref, formats, require_complete, channel,
      requested_by, received_at, due_at, created_at, state, volume_counter, revision)
    SELECT n || 'waits', 'access', 'user', 'usr_waits' || n, 'sub_waits' || n, '["jsonl"]', false, 'api',
      'subject:sub_waits' || n, now(), now() + interval '30 days', now(), 'queued', 0, 1
    FROM generate_series(1, %(count)s::int) n""",
    """INSERT INTO slice (export_id, number, tenant, state, large, version, fence, attempts, created_at)
    SELECT id, 0, '', 'open', false, (SELECT max(version) FROM slice), 0, 0, created_at FROM export
    WHERE id LIKE '%%waits'""",
    "ANALYZE",
)
"""Younger requests, which wait behind those that are measured."""
WORKERS = 2
CLOCK = "import sys; from cli.main import main; main(['clock'])"
PAUSE_SECONDS = 0.2
WAIT_SECONDS = 48 * 3600.0
TICK = os.sysconf("SC_CLK_TCK")


def measure(*, long: bool) -> Figure:
    """Measure seconds of processor for an export; print it for each length of the queue."""
    queued, rounds = (LONG_QUEUED, 1) if long else (QUEUED, ROUNDS)
    costs: dict[int, list[float]] = {count: [] for count in queued}
    for _ in range(rounds):
        for count in queued:
            costs[count].append(_costs(count))
    fewest, *_, most = (median(costs[count]) for count in queued)
    return Figure("throughput", most, fewest, 1.1, "s", rounds)


def _costs(count: int) -> float:
    """Return the workers' seconds of processor for one of the oldest of `count` queued exports."""
    with surroundings() as around, servers.valkey() as valkey, connect(valkey.url) as redis:
        made = _deployed(around, valkey.url, count)
        with _running(around, redis) as pids:
            before, began = _cpu_seconds(pids), time.perf_counter()
            _wait(lambda: _ready(made) >= MEASURED)
            seconds, cpu = time.perf_counter() - began, _cpu_seconds(pids) - before
        made.engine.dispose()
    line = {"queued": count, "per_second": round(MEASURED / seconds, 2), "cpu_ms": round(1000 * cpu / MEASURED, 1)}
    print(orjson.dumps(line | {"machine": machine()}).decode(), flush=True)
    return cpu / MEASURED


def _deployed(around: Surroundings, redis_url: str, count: int) -> World:
    """Make a deployment with `count` queued exports, the oldest of people with data."""
    source, control = (around.postgres.url(around.postgres.create_database()) for _ in range(2))
    archives, recordings = around.s3.url("archives"), around.s3.url("recordings")
    seed(source, open_storage(recordings), replace(PLAN, users=MEASURED))
    settings = {"DIR": str(around.folder), "DATABASE_URL": control, "REDIS_URL": redis_url, "STORAGE_URL": archives}
    settings |= {"SOURCE_URL": source, "RECORDINGS_URL": recordings, "CLOCK_SECONDS": "1"}
    settings["NOTICE_DIR"] = str(own_notice(around.folder / "notice"))
    os.environ.update({f"PORTABILITY_{name}": value for name, value in settings.items()})
    made = world(around.folder, {}, storage=open_storage(archives), database_url=control).with_all_keys()
    engine = create_engine(source)
    with engine.connect() as connection:
        people = connection.scalars(select(users.c.id).limit(MEASURED)).all()
    engine.dispose()
    for person in people:
        made.request(f"user:{person}")
    with made.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in WAITING:
            connection.exec_driver_sql(statement, {"count": count - MEASURED})
    return made


@contextmanager
def _running(around: Surroundings, redis: Redis) -> Iterator[Sequence[int]]:
    """Start workers, and a clock when they listen; yields the workers' pids."""
    with (around.folder / "processes.log").open("wb") as log:

        def start(command: str) -> subprocess.Popen[bytes]:
            begin = partial(die_with_parent, os.getpid())
            return subprocess.Popen([sys.executable, "-c", command], stdout=log, stderr=log, preexec_fn=begin)  # noqa: PLW1509  # only a prctl

        started = [start(COMMAND) for _ in range(WORKERS)]
        try:
            _wait(lambda: len(Worker.all(connection=redis)) == WORKERS)
            started.append(start(CLOCK))
            yield [process.pid for process in started[:WORKERS]]
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()


def _ready(made: World) -> int:
    ended = select(func.count()).select_from(models.export).where(models.export.c.state == "ready")
    with reading(made.engine) as connection:
        return connection.execute(ended).scalar_one()


def _cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time of processes and of their children that have ended (proc(5), fields 14 to 17)."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(ticks) for row in fields for ticks in row[11:15]) / TICK


def _wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WAIT_SECONDS} s")
        time.sleep(PAUSE_SECONDS)
