"""Servers that are replaced: failovers of PostgreSQL and Valkey, and a control database restored to an earlier moment.

Each fault has steps: the servers are prepared, more requests are accepted and more volumes stored, then it happens.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from random import Random

import redis
import servers

from chaos.clusters import Databases
from chaos.faults import LOST_WAKE_UP_SECONDS, Harm, Hit
from chaos.rows import Look
from chaos.stack import ChaosStack

BETWEEN_SECONDS = (0.2, 0.8)
"""Between the last commit that is kept and the end of the primary."""


ANSWERS_SECONDS = 20.0
"""Within this time a primary answers through the pooler: an operator repeats a command until then."""


def after_failover(stack: ChaosStack) -> None:
    """Do what an operator does after each failover and restore, once the new primary takes writes: the one place."""
    until = time.monotonic() + ANSWERS_SECONDS
    while True:
        done = stack.deployment.run("reconcile", "--json", expect=(0, 1))
        if done.returncode == 0:
            return
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "database_unavailable", error
        assert time.monotonic() < until, error


def failover_lost(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """The replica is cut off, and promoted a moment later: it lacks the commits between."""
    databases = _calm(stack)
    if databases is None:
        return None
    since = time.monotonic()
    databases.control.part()
    _ask_then(stack, chance, partial(_promote, stack, databases, "failover_lost", since))
    return Hit()


def failover_whole(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """No commit is confirmed before the replica has it: nothing is lost."""
    databases = _calm(stack)
    if databases is None:
        return None
    databases.control.synchronous()
    _ask_then(stack, chance, partial(_promote, stack, databases, "failover_whole", None))
    return Hit()


def restore(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """The control database goes back to an earlier moment, by its base backup and the archived log."""
    databases = _calm(stack)
    if databases is None:
        return None
    databases.control.back_up()
    stack.later(chance.uniform(0, BETWEEN_SECONDS[1]), partial(_mark, stack, databases, chance))
    return Hit()


def valkey_failover(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """A replica takes the place of Valkey, with what was in it a moment before."""
    replica = stack.held.enter_context(servers.valkey(port=servers.free_ports(1)[0]))
    with redis.Redis(unix_socket_path=str(replica.path)) as client:
        client.replicaof("127.0.0.1", str(stack.valkey.port))
        deadline = time.monotonic() + 10
        while client.info("replication").get("master_link_status") != "up":
            assert time.monotonic() < deadline, "no replica of Valkey"
            time.sleep(0.01)
        client.replicaof("NO", "ONE")
    stack.later(chance.uniform(*BETWEEN_SECONDS), partial(_move, stack, replica))
    return Hit(outage_seconds=BETWEEN_SECONDS[1] + LOST_WAKE_UP_SECONDS)


def _move(stack: ChaosStack, replica: servers.Valkey) -> None:
    """The address leads to another server from now on: a socket keeps its listener under another name."""
    stack.valkey.process.stop()
    replica.path.replace(stack.valkey.path)
    stack.valkey = servers.Valkey(stack.valkey.url, replica.process, replica.port)


def _calm(stack: ChaosStack) -> Databases | None:
    """The databases, unless another of these faults is under way."""
    assert stack.databases is not None
    return None if stack.happened.is_moving else stack.databases


def _ask_then(stack: ChaosStack, chance: Random, act: Callable[[], None]) -> None:
    stack.happened.is_moving = True
    stack.happened.requests_wanted += 1
    stack.later(chance.uniform(*BETWEEN_SECONDS), act)


def _promote(stack: ChaosStack, databases: Databases, kind: str, lost_since: float | None) -> None:
    began_at = time.monotonic()
    lost_bytes = databases.control.fail_over()
    databases.control_pooler.point_to(databases.control.primary.port)
    if lost_since is not None:
        if not lost_bytes:
            stack.happened.missed.append(kind)
        stack.happened.counts["bytes of the log that were lost"] += lost_bytes
        _lost(stack, lost_since)
    _moved(stack, databases, kind, began_at)


def _mark(stack: ChaosStack, databases: Databases, chance: Random) -> None:
    since = time.monotonic()
    databases.control.mark("chaos")
    _ask_then(stack, chance, partial(_restore, stack, databases, since))


def _restore(stack: ChaosStack, databases: Databases, since: float) -> None:
    began_at = time.monotonic()
    databases.control.restore("chaos")
    _lost(stack, since)
    _moved(stack, databases, "restore", began_at)


def _lost(stack: ChaosStack, since: float) -> None:
    stack.happened.counts["histories that were lost"] += 1
    stack.happened.cuts.append((since, time.monotonic()))


def _moved(stack: ChaosStack, databases: Databases, kind: str, began_at: float) -> None:
    after_failover(stack)
    stack.happened.moves.append((kind, time.monotonic() - began_at))
    databases.control.rebuild()
    stack.happened.is_moving = False


MOVES: dict[str, Harm] = {harm.__name__: harm for harm in (failover_lost, failover_whole, restore)}
"""One of them in each seed."""
