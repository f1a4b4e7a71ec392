"""The control database twice: every test here holds on SQLite and on PostgreSQL; storage twice where it matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from factories import world
from sqlalchemy import Engine
from sweeping import AgedStorage, Shelf

from portability.db import open_engine
from portability.storage import Storage
from portability.storage.local import LocalStorage
from portability.storage.s3 import S3Storage


@pytest.fixture(params=["sqlite", "postgresql"])
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A control database that is empty: not even migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.sqlite"
    url: str = request.getfixturevalue("pg_url")
    return url


@pytest.fixture
def control_engine(control_url: str) -> Iterator[Engine]:
    engine = open_engine(control_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["local", "s3"])
def archives(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each kind; S3 lists in small pages."""
    if request.param == "local":
        local = LocalStorage(tmp_path / "archives")
        local.store_id()
        return local
    server: servers.S3Server = request.getfixturevalue("s3")
    prefix = request.getfixturevalue("s3_url").split("/")[3].split("?")[0]
    return S3Storage(server.bucket, prefix, endpoint=server.endpoint, addressing="path", page_objects=3)


@pytest.fixture
def shelf(control_url: str, tmp_path: Path, archives: Storage) -> Shelf:
    """Both databases with both storages."""
    return Shelf(world(tmp_path, {}, database_url=control_url), AgedStorage(archives))
