"""A PostgreSQL primary with a hot standby that fail over, any number of times, and that are restored to a moment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from servers.databases import Postgres, base_backup, postgres, replica_of, started
from servers.process import folder_of, free_ports, unprivileged

WAIT_SECONDS = 30.0
Session = psycopg.Connection[tuple[Any, ...]]


@dataclass
class Cluster:
    """A primary and its streaming replica; clients know both addresses and find the one that writes.

    Only for the thread that made it: servers die with their thread.
    """

    primary: Postgres
    replica: Postgres
    ports: tuple[int, int]
    """The two addresses, which stay when the servers exchange their roles."""
    archive: Path
    """Of the write-ahead log."""
    settings: Mapping[str, str]
    _held: dict[int, ExitStack]
    _backup: tuple[ExitStack, Path, Path] | None = None

    def url(self, database: str) -> str:
        hosts = "&".join(f"host=127.0.0.1:{port}" for port in self.ports)
        return f"postgresql+psycopg://postgres@/{database}?{hosts}&target_session_attrs=read-write"

    def catch_up(self) -> None:
        """Wait until the replica shows all commits so far."""
        with self.primary.connect() as primary, self.replica.connect() as replica:
            written = value(primary, "select pg_current_wal_lsn()::text")
            _until(replica, f"select pg_last_wal_replay_lsn() >= '{written}'::pg_lsn")

    def part(self) -> None:
        """Let the replica receive all commits so far, and none after them."""
        self.catch_up()
        with self.replica.connect() as replica:
            _configure(replica, "primary_conninfo", "")
            _until(replica, "select count(*) = 0 from pg_stat_wal_receiver")

    def synchronous(self) -> None:
        """From now on no commit is confirmed that the replica has not got."""
        with self.primary.connect() as primary:
            _configure(primary, "synchronous_standby_names", "*")
            _until(primary, "select count(*) = 1 from pg_stat_replication where sync_state = 'sync'")

    def fail_over(self) -> int:
        """Kill the primary and promote the replica; returns how many bytes of the log the new primary has not got."""
        with self.primary.connect() as primary, self.replica.connect() as replica:
            written = value(primary, "select pg_current_wal_lsn()::text")
            self._held[self.primary.port].close()
            # It has no replica that would confirm its commits.
            _configure(replica, "synchronous_standby_names", "")
            assert value(replica, "select pg_promote()") is True
            lost = value(replica, f"select greatest('{written}'::pg_lsn - pg_last_wal_replay_lsn(), 0)::bigint")
        self.primary = self.replica
        assert isinstance(lost, int)
        return lost

    def rebuild(self) -> None:
        """Make a new replica of the new primary, at the address that is free."""
        (port,) = set(self.ports) - {self.primary.port}
        copy = replica_of(self.primary, port=port, persists=True, settings=self.settings)
        self.replica = self._held[port].enter_context(copy)

    def back_up(self) -> None:
        """Copy the running primary: `restore` begins with it."""
        for segment in self.archive.iterdir():
            if segment.suffix != ".history":
                segment.unlink()
        held = ExitStack()
        self._backup = held, *held.enter_context(base_backup(self.primary, "pgb"))

    def mark(self, name: str) -> None:
        """Name this moment for `restore`."""
        with self.primary.connect() as primary:
            value(primary, f"select pg_create_restore_point('{name}')")

    def restore(self, name: str) -> None:
        """Stop both servers, and go on with the base backup and the archived log up to the moment `name`."""
        assert self._backup is not None
        held, folder, data = self._backup
        with self.primary.connect() as primary:
            last = value(primary, "select pg_walfile_name(pg_switch_wal())")
            _until(primary, f"select last_archived_wal >= '{last}' from pg_stat_archiver")  # noqa: S608  # the server's own
        port = self.primary.port
        for server in (self.primary, self.replica):
            self._held[server.port].close()
        (data / "recovery.signal").touch()
        recovery = {
            "restore_command": f"cp {self.archive}/%f %p",
            "recovery_target_name": name,
            "recovery_target_action": "promote",
            "recovery_target_timeline": "current",
        }
        settings = {**self.settings, **recovery}
        self.primary = held.enter_context(started(folder, data, port=port, persists=True, settings=settings))
        self._held[port].push(held.pop_all())
        self._backup = None
        with self.primary.connect() as primary:
            _until(primary, "select not pg_is_in_recovery()")

    def close(self) -> None:
        if self._backup is not None:
            self._backup[0].close()
        for held in self._held.values():
            held.close()


@contextmanager
def cluster_of(settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A primary that archives its log, and its replica; `settings` of both. Raises ServerMissing."""
    account = unprivileged() if os.geteuid() == 0 else None
    with folder_of("pga", account) as archive, ExitStack() as held:
        chosen = {
            "archive_mode": "on",
            "archive_command": f"cp %p {archive}/%f",
            # A replica that has lost its primary is promoted only after this wait.
            "wal_retrieve_retry_interval": "100ms",
            **(settings or {}),
        }
        first, second = ExitStack(), ExitStack()
        held.push(first)
        primary = first.enter_context(postgres(persists=True, settings=chosen))
        (port,) = free_ports(1)
        ports = (primary.port, port)
        made = Cluster(primary, primary, ports, archive, chosen, {primary.port: first, port: second})
        held.callback(made.close)
        made.rebuild()
        yield made


def value(session: Session, query: str) -> object:
    """The one value that a query returns."""
    row = session.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _configure(session: Session, name: str, text: str) -> None:
    session.execute(f"alter system set {name} = '{text}'".encode())
    session.execute("select pg_reload_conf()")


def _until(session: Session, query: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while value(session, query) is not True:
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {query}"
        time.sleep(0.01)
