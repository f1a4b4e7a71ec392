"""What workers share about sources: rates and locks in Redis, sealed secrets in the control database."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

import pytest
from migrated import migrate
from redis import Redis
from sqlalchemy import Engine, select

from portability.api import Rate
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.database import models
from portability.database.engine import reading, writing
from portability.queue import connect
from portability.shared.secrets import SealedSecrets
from portability.shared.state import DeploymentState
from portability.trust import keys

FAST = Rate("desk", 20, 1)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    connection = connect(redis_url)
    connection.flushdb()
    yield connection
    connection.close()


@pytest.fixture
def keys_folder(control_engine: Engine, tmp_path: Path) -> Path:
    migrate(control_engine)
    with writing(control_engine) as connection:
        keys.new(connection, tmp_path / "keys", purpose="link", actor="test")
    return tmp_path / "keys"


@pytest.fixture
def state(redis: Redis, control_engine: Engine, keys_folder: Path) -> DeploymentState:
    return DeploymentState(redis, SealedSecrets(control_engine, keys_folder), control_engine)


def calls_for(url: str, seconds: float) -> list[tuple[float, float]]:
    """The times between which one process was allowed to call."""
    rates = DeploymentState(connect(url), None, None)  # type: ignore[arg-type]  # secrets are not used here
    ends_at, times = time.time() + seconds, []
    while (asked_at := time.time()) < ends_at:
        wait = rates.take([FAST])
        if wait:
            time.sleep(min(wait, 0.05))
        else:
            times.append((asked_at, time.time()))
    return times


@pytest.mark.usefixtures("redis")
def test_processes_share_a_rate(redis_url: str) -> None:
    """Two processes, 20 calls a second, for 2.5 seconds: no second has more, and each has some.

    A call is allowed between two times: a busy machine stops a process between them.
    """
    with multiprocessing.get_context("fork").Pool(2) as pool:
        times = [each for found in pool.starmap(calls_for, [(redis_url, 2.5)] * 2) for each in found]

    windows = [[asked_at >= begin and had_at < begin + 0.98 for asked_at, had_at in times] for begin, _ in times]
    assert max(map(sum, windows)) <= 20
    assert 20 < len(times) <= 60 + 20 * ceil(max(had_at - asked_at for asked_at, had_at in times))


def test_all_rates_of_a_call_must_allow_it(state: DeploymentState) -> None:
    """A call of a named bucket counts in both; while one is full, nothing is taken of the other."""
    search, whole = Rate("desk:search", 1, 5), Rate("desk", 3, 5)

    assert state.take([search, whole]) == 0
    assert 4 < state.take([search, whole]) <= 5
    assert [state.take([whole]) for _ in range(2)] == [0, 0]
    assert 4 < state.take([whole]) <= 5


def test_a_pause_is_of_all_and_never_shortened(state: DeploymentState, redis: Redis) -> None:
    """The longest pause that a source asks for holds; other buckets go on."""
    state.pause("desk", 5)
    state.pause("desk", 1)

    assert 4 < state.take([FAST]) <= 5
    assert state.take([Rate("other", 1, 1)]) == 0
    assert all(b"@" not in key for key in redis.scan_iter())


def test_one_renews_and_the_others_wait(state: DeploymentState) -> None:
    """Eight workers meet an expired token at a time: one renews it, and all get its result."""
    renewed = []

    def renew(stored: str | None) -> str:
        renewed.append(stored)
        time.sleep(0.2)
        return f"token {len(renewed)}"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _n: state.secret("desk", lambda one: one != "token 0", renew), range(8)))

    assert found == ["token 1"] * 8
    assert renewed == [None]
    assert state.secret("desk", lambda one: one == "token 2", renew) == "token 2"
    assert renewed == [None, "token 1"]


def test_a_secret_is_sealed_and_stored_before_it_is_used(
    state: DeploymentState, control_engine: Engine, keys_folder: Path
) -> None:
    """The database has no readable token; without the key of the machine it is worth nothing."""
    assert state.secret("desk", lambda _one: True, lambda _stored: "refresh-token") == "refresh-token"
    with reading(control_engine) as connection:
        row = connection.execute(select(models.source_secret)).one()

    assert "refresh-token" not in row.sealed
    assert SealedSecrets(control_engine, keys_folder).read("desk") == "refresh-token"
    assert SealedSecrets(control_engine, keys_folder).read("other") is None
    for path in keys_folder.glob("*.pem"):
        path.unlink()
    keys._read_private.cache_clear()
    with pytest.raises(SourceUnavailable, match="the tokens of sources cannot be sealed"):
        state.secret("desk", lambda _one: True, lambda _stored: "")


def test_a_process_ends_after_its_renewal(state: DeploymentState) -> None:
    """A command gives up a call that takes too long, and ends: the new token of the call would be lost."""
    began, times = threading.Event(), list[str]()

    def renew(_stored: str | None) -> str:
        began.set()
        time.sleep(0.5)
        times.append("renewed")
        return "token"

    abandoned = threading.Thread(target=state.secret, args=("desk", lambda _one: True, renew), daemon=True)
    abandoned.start()
    assert began.wait(10)
    state.close()
    times.append("closed")
    abandoned.join()

    assert times == ["renewed", "closed"]
    assert state.secret("desk", lambda _one: True, renew) == "token"


def test_a_copy_of_an_older_secret_is_of_no_use(state: DeploymentState, redis: Redis) -> None:
    """It stays in Redis where that was away for a moment; what was stored since is newer."""
    state.secret("desk", lambda _one: True, lambda _stored: "first")
    redis.set("portability:unstored:desk", json.dumps(["key_1", "sealed", "another"]))

    assert state.secret("desk", lambda one: one == "second", lambda stored: f"after {stored}") == "after first"


def test_nothing_is_renewed_that_cannot_be_stored(redis: Redis, control_engine: Engine, tmp_path: Path) -> None:
    """A source that accepts each refresh token once has taken it by then: the new token would be lost."""
    migrate(control_engine)
    state = DeploymentState(redis, SealedSecrets(control_engine, tmp_path / "none"), control_engine)
    renewed: list[str | None] = []

    def renew(stored: str | None) -> str:
        renewed.append(stored)
        return "token"

    with pytest.raises(SourceUnavailable, match="the tokens of sources cannot be sealed") as caught:
        state.secret("desk", lambda _one: True, renew)
    assert caught.value.hint == "`portability keys new --purpose link` makes one"
    assert renewed == []


def test_a_refused_renewal_stores_nothing_and_frees_the_lock(state: DeploymentState) -> None:
    """The error of the source reaches its reader; the next worker may renew at once."""

    def refuse(_stored: str | None) -> str:
        raise SourceRefused("desk: the token endpoint refuses the login")

    with pytest.raises(SourceRefused):
        state.secret("desk", lambda _one: True, refuse)
    assert state.secret("desk", lambda _one: True, lambda stored: f"after {stored}") == "after None"


def test_an_outage_of_redis_or_of_the_database_is_an_outage_of_the_source(
    control_engine: Engine, tmp_path: Path
) -> None:
    """Without the shared count nothing is called: a source's limit does not depend on ours being there."""
    migrate(control_engine)
    state = DeploymentState(connect(f"unix://{tmp_path}/none"), SealedSecrets(control_engine, tmp_path), control_engine)

    with pytest.raises(SourceUnavailable, match="Redis, which counts the calls of sources, fails: ConnectionError"):
        state.take([FAST])
    with pytest.raises(SourceUnavailable, match="Redis"):
        state.secret("desk", lambda _one: True, lambda _stored: "x")
