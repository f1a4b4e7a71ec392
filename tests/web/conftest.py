"""A server for the tests of pages and API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from sending import recorded
from served import Served, serving
from transferring import Provider


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of a module; archives lie in a folder."""
    with serving(tmp_path_factory.mktemp("served"), redis_server) as server:
        yield server


@pytest.fixture
def other(served: Served) -> Iterator[Provider]:
    """Another provider that the server knows as a recipient."""
    with recorded(served) as provider:
        yield provider


@pytest.fixture(autouse=True)
def _fresh_limits(redis_server: str) -> None:
    """Attempts of one test do not count against the next."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
