"""The kinds of faults: each causes one fault now, and returns what undoes it unless it ends by itself."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random

import psycopg
import redis
from http_faults import Break, HttpRequest, Rule

from chaos.rows import Look
from chaos.stack import LEASE_SECONDS, ChaosStack, Process

CLOCK_ERRORS_SECONDS = (-200_000, -600, 600, 7_200)
"""Days and hours too: S3 refuses whatever is wrong by more than 15 minutes."""
LOST_WAKE_UP_SECONDS = 10.0
"""What a message lost in Redis may cost: the clock sends no second one earlier."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that was done."""

    killed: frozenset[int] = frozenset()
    """Horses that died."""
    outage_seconds: float = 0
    """How long it may keep every worker from claiming."""


Harm = Callable[[ChaosStack, Look, Random], Hit | None]
"""None: not possible at this moment."""


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _busy(stack: ChaosStack, look: Look, chance: Random) -> tuple[Process, int] | None:
    """A worker whose child process holds a slice, and that child process."""
    found = [(worker, horse) for worker in stack.workers for horse in worker.horses if horse in look.owners]
    return chance.choice(found) if found else None


def kill_horse(stack: ChaosStack, look: Look, chance: Random) -> Hit | None:
    if (busy := _busy(stack, look, chance)) is None:
        return None
    _kill(busy[1])
    return Hit(frozenset({busy[1]}))


def kill_worker(stack: ChaosStack, look: Look, chance: Random) -> Hit | None:
    if (busy := _busy(stack, look, chance)) is None:
        return None
    _kill(busy[0].pid)
    return Hit(frozenset({busy[1]}))


def kill_clock(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    _kill(chance.choice(stack.clocks).pid)
    return Hit()


def stop_worker(stack: ChaosStack, look: Look, chance: Random) -> Hit | None:
    if (busy := _busy(stack, look, chance)) is None:
        return None
    _kill(busy[0].pid, signal.SIGTERM)
    return Hit()


def freeze_horse(stack: ChaosStack, look: Look, chance: Random) -> Hit | None:
    busy = _busy(stack, look, chance)
    return None if busy is None else _freeze(stack, busy[1], chance)


def freeze_worker(stack: ChaosStack, look: Look, chance: Random) -> Hit | None:
    busy = _busy(stack, look, chance)
    return None if busy is None else _freeze(stack, busy[0].pid, chance)


def _freeze(stack: ChaosStack, pid: int, chance: Random) -> Hit:
    """Past the end of its lease, so that it wakes up with an old fence."""
    _kill(pid, signal.SIGSTOP)
    stack.later(LEASE_SECONDS * chance.uniform(1.2, 2), partial(_kill, pid, signal.SIGCONT))
    return Hit()


def wrong_clock(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """Stop one worker, and restart it with a wrong wall clock."""
    worker = chance.choice(stack.workers)
    worker.clock_error_seconds = chance.choice(CLOCK_ERRORS_SECONDS)
    _kill(worker.pid, signal.SIGTERM)
    return Hit()


def redis_restart(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    away_seconds = chance.uniform(0.1, 1.5)
    stack.valkey.process.stop()
    stack.later(away_seconds, stack.valkey.process.start)
    return Hit(outage_seconds=away_seconds + LOST_WAKE_UP_SECONDS)


def redis_flush(stack: ChaosStack, _look: Look, _chance: Random) -> Hit | None:
    try:
        with redis.Redis.from_url(stack.valkey.url, socket_timeout=1) as client:
            client.flushall()
    except redis.RedisError:
        return None
    return Hit(outage_seconds=LOST_WAKE_UP_SECONDS)


def redis_frozen(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    if not stack.valkey.process.is_up:
        return None
    away_seconds = chance.uniform(1, 4)
    pid = stack.valkey.process.pid
    _kill(pid, signal.SIGSTOP)
    stack.later(away_seconds, partial(_kill, pid, signal.SIGCONT))
    return Hit(outage_seconds=away_seconds)


def postgres_restart(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    assert stack.postgres is not None
    away_seconds = chance.uniform(0, 1.5)
    stack.postgres.process.stop()
    stack.later(away_seconds, stack.postgres.process.start)
    return Hit(outage_seconds=away_seconds)


def postgres_terminate(stack: ChaosStack, _look: Look, _chance: Random) -> Hit | None:
    """Every connection of every user is cut at the same moment."""
    if stack.databases is not None:
        return Hit() if stack.databases.cut_connections() else None
    assert stack.postgres is not None
    others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname <> ''"
    try:
        with psycopg.connect(stack.postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(others)
    except psycopg.OperationalError:
        return None
    return Hit()


def sqlite_locked(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """Lock the database's only write lock for longer than half a lease."""
    away_seconds = LEASE_SECONDS * chance.uniform(0.6, 1.2)
    path = stack.engine.url.database
    assert path is not None
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError:
        connection.close()
        return None
    stack.later(away_seconds, connection.close)
    return Hit(outage_seconds=away_seconds)


def disk_full(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    assert stack.disk is not None
    away_seconds = chance.uniform(1, 3)
    try:
        stack.disk.fill()
    except OSError:
        return None
    stack.later(away_seconds, stack.disk.empty)
    return Hit(outage_seconds=away_seconds)


def _break(how: Break, fits: Callable[[HttpRequest], bool], most: int) -> Harm:
    def harm(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
        assert stack.http is not None
        stack.http.rules.append(Rule(how, fits, chance.randint(1, most), chance.uniform(0.5, 2)))
        return Hit()

    return harm


def _archives(request: HttpRequest) -> bool:
    return "/archives" in request.path


def _recordings(request: HttpRequest) -> bool:
    return request.method == "GET" and "/recordings/" in request.path


EVERYWHERE: Mapping[str, Harm] = {
    harm.__name__: harm
    for harm in (
        *(kill_horse, kill_worker, kill_clock, stop_worker, freeze_horse, freeze_worker),
        *(wrong_clock, redis_restart, redis_flush, redis_frozen),
    )
}
ON_SERVERS: Mapping[str, Harm] = {
    "postgres_restart": postgres_restart,
    "postgres_terminate": postgres_terminate,
    "s3_errors": _break(Break.REFUSE, _archives, 6),
    "s3_slow": _break(Break.SLOW, _archives, 4),
    "s3_cut": _break(Break.CUT, lambda request: request.is_part, 3),
    "s3_lost_answer": _break(Break.LOSE_ANSWER, lambda request: request.is_complete, 2),
    "s3_lost_begin": _break(
        Break.LOSE_ANSWER, lambda request: request.method == "POST" and "uploads" in request.names, 1
    ),
    "recordings_away": _break(Break.REFUSE, _recordings, 4),
}
EMBEDDED: Mapping[str, Harm] = {"sqlite_locked": sqlite_locked, "disk_full": disk_full}
KILLS = frozenset({"kill_horse", "kill_worker"})


def unmet(stack: ChaosStack) -> int:
    """How many faults still wait for a request that they can break."""
    return 0 if stack.http is None else sum(rule.used == 0 for rule in stack.http.rules)


def end(stack: ChaosStack) -> None:
    """A seed's faults must not break the next seed's exports."""
    if stack.http is not None:
        stack.http.rules.clear()
    for worker in stack.workers:
        if worker.clock_error_seconds:
            worker.clock_error_seconds = 0
            _kill(worker.pid)
