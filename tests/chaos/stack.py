"""The stack that is broken: servers, workers and clocks, and a supervisor that starts again what has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import servers
from http_faults import HttpFaults
from servers.process import launched
from sqlalchemy import Engine
from workers import Deployment, children, command

from chaos import disk, shifted
from chaos.clusters import CONTROL, Databases, Happened, databases
from portability.api.storages import Storage
from portability.database import migrations
from portability.database.engine import open_engine, writing
from portability.storage import open_storage
from portability.trust import keys

Form = Literal["servers", "embedded", "cluster"]
FORMS: tuple[Form, ...] = ("servers", "embedded", "cluster")
"""PostgreSQL and S3, or SQLite and a folder, or a PostgreSQL that fails over, and S3."""
LEASE_SECONDS = 2.0
WORKERS, CLOCKS = 3, 2
FEW_WORKERS, FEW_CLOCKS = 2, 1
"""Of the cluster, whose processes restart often."""
SETTINGS = {
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "CLOCK_SECONDS": "0.3",
    "DRAIN_SECONDS": "1",
    "BACKOFF_SECONDS": "0.2",
    "SOURCE_RETRIES": "7",
    "SWEEP_SECONDS": "3",
    "VOLUME_BYTES": str(256 << 10),
    "SLICE_BYTES": str(256 << 10),
    "PIECE_BYTES": str(32 << 10),
    "ISSUER": "https://portability.example",
}

SMALL = {"VOLUME_BYTES": str(64 << 10), "SLICE_BYTES": str(64 << 10), "PIECE_BYTES": str(8 << 10)}
"""Of the cluster: many commits in few seconds."""


@dataclass
class Process:
    """A worker or clock that is started again whenever it has ended."""

    role: Literal["worker", "clock"]
    popen: subprocess.Popen[bytes]
    clock_error_seconds: float = 0
    """Of its wall clock, from its next start on."""

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def horses(self) -> list[int]:
        with suppress(OSError):
            return children(self.pid)
        return []


@dataclass
class ChaosStack:
    """One form of the stack. Only for the thread that started it, because children die with their thread."""

    form: Form
    deployment: Deployment
    engine: Engine
    storage: Storage
    """Not by way of the proxy."""
    valkey: servers.Valkey
    postgres: servers.Postgres | None = None
    http: HttpFaults | None = None
    disk: disk.SmallDisk | None = None
    databases: Databases | None = None
    held: ExitStack = field(default_factory=ExitStack)
    """What ends with the stack."""
    happened: Happened = field(default_factory=Happened)
    processes: list[Process] = field(default_factory=list)
    undo: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """What mends a fault, and when by the monotonic clock."""

    @property
    def workers(self) -> list[Process]:
        return [process for process in self.processes if process.role == "worker"]

    @property
    def clocks(self) -> list[Process]:
        return [process for process in self.processes if process.role == "clock"]

    @property
    def temporary(self) -> Path:
        return self.deployment.folder / "tmp"

    @property
    def source_url(self) -> str:
        """Where the platform's rows are written."""
        return self.databases.source_url if self.databases else self.deployment.settings["SOURCE_URL"]

    def connect_by(self, *, pooled: bool) -> bool:
        """Restart all processes if they are to connect to the databases in a different way; returns whether it did."""
        assert self.databases is not None
        settings = {**self.deployment.settings, **self.databases.settings(pooled=pooled)}
        if settings == self.deployment.settings:
            return False
        self.deployment.settings = settings
        self.stop()
        self.mend()
        return True

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self.undo.append((time.monotonic() + seconds, act))

    def mend(self) -> None:
        """Undo what is due, and start again what has ended."""
        due = [act for at, act in self.undo if at <= time.monotonic()]
        self.undo = [(at, act) for at, act in self.undo if at > time.monotonic()]
        for act in due:
            act()
        for process in self.processes:
            if process.popen.poll() is not None:
                process.popen = self._start(process.role, process.clock_error_seconds)

    def family(self) -> set[int]:
        """Pids of all processes of this deployment, found by their environment, with any parent."""
        mark = f"PORTABILITY_DIR={self.deployment.folder}".encode()
        found = set()
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in environment.read_bytes().split(b"\0"):
                    found.add(int(environment.parent.name))
        return found

    def is_calm(self) -> bool:
        """Everything is up, nothing is being worked on and nothing more will be mended."""
        own = {process.pid for process in self.processes}
        return not self.undo and all(p.popen.poll() is None for p in self.processes) and self.family() == own

    def start(self) -> None:
        workers, clocks = (FEW_WORKERS, FEW_CLOCKS) if self.databases else (WORKERS, CLOCKS)
        roles = [*["worker"] * workers, *["clock"] * clocks]
        self.processes += [Process(role, self._start(role, 0)) for role in roles]  # type: ignore[arg-type]  # they are

    def stop(self) -> None:
        for process in self.processes:
            process.popen.kill()
            process.popen.wait()

    def _start(self, role: str, clock_error_seconds: float) -> subprocess.Popen[bytes]:
        words = [sys.executable, shifted.__file__, str(clock_error_seconds), role] if clock_error_seconds else None
        environment = {**self.deployment.environment, "TMPDIR": str(self.temporary)}
        with self.deployment.log.open("ab") as log:
            return subprocess.Popen(launched(words or command(role)), env=environment, stdout=log, stderr=log)


@contextmanager
def running(form: Form, folder: Path, more: Mapping[str, str], *, pooled: bool = False) -> Iterator[ChaosStack]:
    """The stack with an empty database and storage, for the length of the block; `more` settings.

    `pooled`: the processes of a cluster begin with PgBouncer before both databases.

    Raises: servers.ServerMissing.
    """
    with ExitStack() as held:
        (port,) = servers.free_ports(1)
        valkey = held.enter_context(servers.valkey(persists=True, port=port))
        settings = {**SETTINGS, "REDIS_URL": valkey.url, **more}
        (folder / "tmp").mkdir(parents=True)
        if form == "servers":
            made = _on_servers(folder, settings, valkey, held)
        elif form == "cluster":
            made = _on_cluster(folder, settings | SMALL, valkey, held, pooled=pooled)
        else:
            made = _embedded(folder, settings, valkey, held)
        made.held = held
        held.callback(made.engine.dispose)
        migrations.upgrade(made.engine)
        with writing(made.engine) as connection:
            keys.ensure(connection, folder / "keys", actor="operator:chaos")
        held.callback(made.stop)
        made.start()
        yield made


def _on_servers(folder: Path, settings: dict[str, str], valkey: servers.Valkey, held: ExitStack) -> ChaosStack:
    postgres = held.enter_context(servers.postgres(persists=True))
    s3, http = _s3(settings, held)
    settings |= {
        "DATABASE_URL": postgres.url(postgres.create_database()),
        "SOURCE_URL": postgres.url(postgres.create_database()),
    }
    engine = open_engine(settings["DATABASE_URL"])
    return ChaosStack("servers", Deployment(folder, settings), engine, s3, valkey, postgres, http)


def _on_cluster(
    folder: Path, settings: dict[str, str], valkey: servers.Valkey, held: ExitStack, *, pooled: bool
) -> ChaosStack:
    made = held.enter_context(databases())
    s3, http = _s3(settings, held)
    settings |= made.settings(pooled=pooled)
    engine = open_engine(made.control.url(CONTROL))
    return ChaosStack("cluster", Deployment(folder, settings), engine, s3, valkey, http=http, databases=made)


def _s3(settings: dict[str, str], held: ExitStack) -> tuple[Storage, HttpFaults]:
    """An S3 server and a proxy before it: adds the settings of the processes, which use the proxy."""
    s3 = held.enter_context(servers.seaweedfs())
    http = held.enter_context(HttpFaults(s3.port))
    held.enter_context(patch.dict(os.environ, s3.environment))
    for name, prefix in (("STORAGE_URL", "archives"), ("RECORDINGS_URL", "recordings")):
        settings[name] = f"s3://{s3.bucket}/{prefix}?endpoint={http.endpoint}"
    return open_storage(s3.url("archives")), http


def _embedded(folder: Path, settings: dict[str, str], valkey: servers.Valkey, held: ExitStack) -> ChaosStack:
    small = held.enter_context(disk.small_disk(folder / "disk"))
    settings |= {
        "DATABASE_URL": f"sqlite:///{folder}/portability.sqlite",
        "SOURCE_URL": f"sqlite:///{folder}/platform.sqlite",
        "STORAGE_URL": (folder / "disk" / "archives").as_uri(),
        "RECORDINGS_URL": (folder / "recordings").as_uri(),
    }
    engine = open_engine(settings["DATABASE_URL"])
    return ChaosStack(
        "embedded", Deployment(folder, settings), engine, open_storage(settings["STORAGE_URL"]), valkey, disk=small
    )
