"""A deployment of real workers with a tenant whose export takes a while, and what its tests look at."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import Engine, func, select, update
from workers import Deployment, deployment, family, until

from demo.plan import SeedPlan
from demo.seed import seed
from portability.database import incidents, models
from portability.database.engine import now, open_engine, reading, writing
from portability.queue import connect
from portability.requests import acceptance, exports
from portability.requests.policy import Actor
from portability.storage import open_storage
from portability.storage.local import LocalStorage
from portability.trust import audit

SLOW = SeedPlan(tenants=1, users=1, contacts=10, calls=60, recordings=60, recording_seconds=(60, 60))
QUICK = SeedPlan(tenants=1, users=1, contacts=2, calls=2, recordings=0)


@dataclass
class Watched:
    """Workers, a clock, and who may be asked for."""

    deployed: Deployment
    engine: Engine
    redis: Redis
    subjects: Mapping[str, str]
    """By profile."""

    def ask(self, profile: str = "switch") -> str:
        """An export for which only the clock wakes workers."""
        wanted = acceptance.check(profile=profile, subject=self.subjects[profile])
        with writing(self.engine) as connection:
            return acceptance.accept(connection, wanted, actor=Actor("operator", "test"))[0]

    def state(self, identifier: str) -> str:
        with reading(self.engine) as connection:
            return str(exports.view(connection, identifier)["state"])

    def counts(self) -> dict[str, int]:
        return {row["kind"]: row["count"] for row in incidents.counted(self.engine)}

    def owner(self) -> int:
        """Pid of the child process that has an export in hand, 0 where none has."""
        with reading(self.engine) as connection:
            named = connection.scalar(select(models.slice.c.owner).where(models.slice.c.owner.is_not(None)))
        return int(named.rsplit(":", 1)[1]) if named else 0

    def working(self) -> int:
        """Pid of the working child process, as soon as there is one."""
        seen: list[int] = []

        def works() -> bool:
            seen[:] = {self.owner()} & set(family(self.deployed))
            return bool(seen)

        self._until(works, "a child process works", seconds=30)
        return seen[0]

    def ready(self, identifier: str, seconds: float = 60) -> None:
        self._until(lambda: self.state(identifier) == "ready", f"export {identifier} is ready", seconds)

    def rests(self, identifier: str) -> None:
        """It is ready, and no child process is left."""
        self.ready(identifier)
        self._until(lambda: not family(self.deployed), "no horse is left", seconds=30)

    def _until(self, true: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait; where it does not come true, the processes and the end of their log say why."""
        try:
            until(true, what, seconds)
        except AssertionError as error:
            codes = [process.poll() for process in self.deployed.processes]
            raise AssertionError(f"{error}; exit codes {codes}\n{self.deployed.log.read_text()[-4000:]}") from None

    def stacks(self, pid: int) -> str:
        """What the threads of a process do, at the end of the log of all processes."""
        os.kill(pid, signal.SIGUSR2)
        until(lambda: "Current thread" in self.deployed.log.read_text(), "the process writes what its threads do")
        return self.deployed.log.read_text()[-8000:]

    def listens(self, worker: int) -> bool:
        """Whether the worker of this pid waits for a message, and Redis has one to give the next message to.

        A worker calls itself idle before its request for a message has left it.
        """
        workers = [self.redis.hmget(key, "pid", "state") for key in self.redis.scan_iter("rq:worker:*", _type="hash")]
        is_waiting = any("b" in client["flags"] for client in self.redis.client_list())
        return is_waiting and [str(worker).encode(), b"idle"] in workers

    def forget_wake_up(self) -> None:
        """As if the clock's last wake-up had been long ago."""
        with writing(self.engine) as connection:
            connection.execute(update(models.slice).values(woken_at=now(-3600)))

    def made_once(self, identifier: str) -> None:
        """One volume, one end in the audit log, and nothing else of it in storage."""
        volumes, log = models.volume, audit.LOG
        ended = (log.c.export_id == identifier, log.c.action == "export.ready")
        with reading(self.engine) as connection:
            keys = list(connection.scalars(select(volumes.c.object_key).where(volumes.c.export_id == identifier)))
            ends = connection.scalar(select(func.count()).where(*ended))
        storage = LocalStorage(self.deployed.folder / "archives")
        stored = [found.key for found in storage.list(f"{identifier}/") if not found.key.endswith(".closing")]
        assert (len(keys), ends) == (1, 1)
        assert stored == keys
        assert not list(storage.uploads())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Claims are blocked: child processes wait for the database."""
        with closing(sqlite3.connect(self.deployed.folder / "portability.sqlite", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield


@contextmanager
def watched(folder: Path, redis_url: str, plan: SeedPlan, *, workers: int = 1, **settings: Any) -> Iterator[Watched]:
    """The deployment, on an empty Redis."""
    client = connect(redis_url)
    client.flushall()
    source, recordings = f"sqlite:///{folder}/platform.sqlite", (folder / "recordings").as_uri()
    examples = seed(source, open_storage(recordings), plan).examples
    subjects = {"switch": f"tenant:{examples.tenant}", "access": f"user:{examples.user}"}
    with deployment(folder, workers=workers, REDIS_URL=redis_url, **settings) as running:
        engine = open_engine(f"sqlite:///{folder}/portability.sqlite")
        place, started = Watched(running, engine, client, subjects), running.processes[:workers]
        # A worker that finds no Redis at its beginning ends, and a test may stop Redis at once.
        until(lambda: all(place.listens(worker.pid) for worker in started), "the workers listen")
        yield place
        engine.dispose()
    client.close()
