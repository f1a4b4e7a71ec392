"""Refresh tokens that are valid once, read by several processes: none sends a token twice, and none loses one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkProcess
from multiprocessing.queues import Queue as Results
from pathlib import Path
from typing import Any

import psycopg
import pytest
import servers
from http_sources import ids_of, memory_sources, open_source, person, records_of
from migrated import migrate
from redis import Redis
from sqlalchemy import Engine
from strict_provider import FIRST, PEOPLE, REFRESH, StrictProvider, strict_provider
from workers import until

from portability.api.errors import SourceRefused
from portability.database.engine import open_engine, writing
from portability.queue import connect
from portability.shared import renewals
from portability.shared.secrets import SealedSecrets
from portability.shared.state import DeploymentState
from portability.testing import MemoryFiles, SampleSources
from portability.trust import keys

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictProvider]:
    monkeypatch.setenv("DESK_SECRET", "secret")
    monkeypatch.setenv("DESK_TOKEN", FIRST)
    with strict_provider() as one:
        yield one


@pytest.fixture
def sharers(control_engine: Engine, redis_url: str, tmp_path: Path) -> TokenSharers:
    migrate(control_engine)
    with writing(control_engine) as connection:
        keys.new(connection, tmp_path / "keys", purpose="link", actor="test")
    url = control_engine.url.render_as_string(hide_password=False)
    control_engine.dispose()
    return TokenSharers(url, redis_url, tmp_path / "keys")


class TokenSharers:
    """What all processes of a deployment share."""

    def __init__(self, url: str, redis_url: str, folder: Path) -> None:
        self.url, self.redis_url, self.folder = url, redis_url, folder

    @property
    def database(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def redis(self) -> Redis:
        return connect(self.redis_url)

    def state(self) -> DeploymentState:
        engine = open_engine(self.url)
        return DeploymentState(self.redis, SealedSecrets(engine, self.folder), engine)

    def read(self, strict: StrictProvider) -> list[Any]:
        """The ids of all tickets, read as a process does that has just started."""
        state = self.state()
        connections = SampleSources(memory_sources().database, MemoryFiles(), state, 60.0)
        try:
            source = open_source(PEOPLE, strict.server.url, connections, auth=strict.auth())
            return ids_of(records_of(source, "tickets", person()))
        finally:
            state.close()

    def started(self, strict: StrictProvider, results: Results[Any] | None = None) -> ForkProcess:
        """A process that reads."""
        process = FORK.Process(target=_read_and_report, args=(self, strict, results), daemon=True)
        process.start()
        return process


def _read_and_report(sharers: TokenSharers, strict: StrictProvider, results: Results[Any] | None) -> None:
    found = sharers.read(strict)
    if results:
        results.put(found)
        results.close()
        results.join_thread()


def close_database(admin: psycopg.Connection[Any], name: str) -> None:
    """End all connections of a database, and refuse new connections."""
    admin.execute(f'alter database "{name}" allow_connections false')
    admin.execute("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", (name,))


def test_one_process_refreshes_and_the_others_read_its_token(sharers: TokenSharers, strict: StrictProvider) -> None:
    """Four processes meet a login without a token: the source sees one refresh, and all read."""
    strict.slow_seconds = 0.5
    results: Results[Any] = FORK.Queue()
    processes = [sharers.started(strict, results) for _ in range(4)]

    assert [results.get(timeout=30) for _ in processes] == [["1"]] * 4
    assert (strict.refreshes, strict.most_at_once, strict.is_revoked) == (1, 1, False)


def test_a_process_that_dies_frees_the_lock_in_time(
    sharers: TokenSharers, strict: StrictProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is extended only while it lives: the next process asks, and what the source says is named."""
    monkeypatch.setattr(renewals, "LEASE_SECONDS", 2.0)
    strict.slow_seconds = 5
    process = sharers.started(strict)
    until(lambda: strict.refreshes == 1, "the token endpoint is asked")
    time.sleep(2.5)
    assert sharers.redis.pttl(f"{renewals.LOCK}:desk") > 0  # it lives longer than its first lease
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    strict.slow_seconds, began_at = 0, time.monotonic()

    with pytest.raises(SourceRefused, match=r"400 \(invalid_grant\): its refresh token is used up, revoked or lost$"):
        sharers.read(strict)
    assert time.monotonic() - began_at < 4


def test_a_slow_token_endpoint_is_waited_for(
    sharers: TokenSharers, strict: StrictProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended the old token when it begins to answer: a client that gives up loses the new token."""
    monkeypatch.setattr(renewals, "LEASE_SECONDS", 2.0)
    strict.slow_seconds = 10.0  # longer than a quarter of the former limit of 30 s, and than a lease

    results: Results[Any] = FORK.Queue()
    for _ in range(2):
        sharers.started(strict, results)

    assert [results.get(timeout=50) for _ in range(2)] == [["1"]] * 2
    assert (strict.refreshes, strict.is_revoked) == (1, False)


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_a_new_token_outlives_a_database_that_is_away(
    sharers: TokenSharers, strict: StrictProvider, pg_server: servers.Postgres
) -> None:
    """The source has ended the old token: a sealed copy waits in Redis, and the next process stores and uses it."""
    strict.lifetime = 1.0
    with psycopg.connect(pg_server.url("postgres").replace("+psycopg", ""), autocommit=True) as admin:
        strict.renewed = lambda: close_database(admin, sharers.database)
        try:
            assert sharers.read(strict) == ["1"]
        finally:
            admin.execute(f'alter database "{sharers.database}" allow_connections true')
    (copy,) = [sharers.redis.get(key) for key in sharers.redis.keys("portability:unstored:*")]
    assert copy
    assert REFRESH.encode() not in copy
    strict.renewed = lambda: None
    time.sleep(0.6)  # the access token ends

    assert sharers.read(strict) == ["1"]
    assert (strict.refreshes, strict.is_revoked) == (2, False)
    assert sharers.redis.keys("portability:unstored:*") == []
