"""The databases of the third form of the stack: two clusters of PostgreSQL, and PgBouncer before each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
import servers
from psycopg import sql
from servers.cluster import Session, value

CONTROL, PLATFORM = "portability", "platform"
NO_PATIENCE = {"max_standby_streaming_delay": "0"}
"""The platform's replica cancels at once whatever stands in the way of its log."""
LOGIN_RETRY_SECONDS = "1"
"""By default PgBouncer waits 15 seconds after it failed to reach a server."""
POOLED = 20
"""Connections to each database: all processes have fewer."""


@dataclass
class Happened:
    """What the faults of a seed did, as far as its judgement needs it."""

    requests_wanted: int = 0
    """Requests that are to be accepted in a moment that will be lost."""
    cuts: list[tuple[float, float]] = field(default_factory=list)
    """Between which times of the monotonic clock commits were lost."""
    is_moving: bool = False
    """Whether the control database will be replaced, or is it just now."""
    moves: list[tuple[str, float]] = field(default_factory=list)
    """(kind, for how long the control database took no writes), not yet noticed by the round."""
    taken: set[str] = field(default_factory=set)
    """Exports of which an object was taken away."""
    varying: set[str] = field(default_factory=set)
    """Ids of rows of the platform that came or went meanwhile."""
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Problems that a fault itself has noticed."""
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Databases:
    """Control database and platform, each a primary with a replica; the exporters read the platform's replica."""

    control: servers.Cluster
    platform: servers.Cluster
    control_pooler: servers.Pooler
    platform_pooler: servers.Pooler

    def settings(self, *, pooled: bool) -> Mapping[str, str]:
        """How the processes connect."""
        if pooled:
            return {
                "DATABASE_URL": self.control_pooler.url(CONTROL),
                "SOURCE_URL": self.platform_pooler.url(PLATFORM),
            }
        return {"DATABASE_URL": self.control.url(CONTROL), "SOURCE_URL": self.platform.replica.url(PLATFORM)}

    @property
    def source_url(self) -> str:
        """Where the platform itself writes."""
        return self.platform.primary.url(PLATFORM)

    def change_platform(self) -> Session:
        return self.platform.primary.connect(PLATFORM)

    def conflicts(self) -> int:
        """How many queries the platform's replica has cancelled so far."""
        query = "select coalesce(sum(confl_lock + confl_snapshot), 0)::bigint from pg_stat_database_conflicts"
        with self.platform.replica.connect() as replica:
            found = value(replica, query)
        assert isinstance(found, int)
        return found

    def cut_connections(self) -> bool:
        """Cut those of all users of the control database at the same moment; False where it is down."""
        others = (
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname <> ''"
        )
        try:
            with self.control.primary.connect() as connection:
                connection.execute(others)
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def databases() -> Iterator[Databases]:
    """Both clusters, with an empty database each. Raises servers.ServerMissing."""
    with ExitStack() as held:
        made = [held.enter_context(servers.cluster_of(settings)) for settings in ({}, NO_PATIENCE)]
        for cluster, name in zip(made, (CONTROL, PLATFORM), strict=True):
            cluster.primary.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            cluster.catch_up()
        control, platform = made
        behind = (control.primary, platform.replica)
        poolers = [
            held.enter_context(servers.pgbouncer(one, connections=POOLED, server_login_retry=LOGIN_RETRY_SECONDS))
            for one in behind
        ]
        yield Databases(control, platform, *poolers)
