"""Every test here holds on SQLite and on PostgreSQL, and where it matters on each storage.

`make test` has both storages for what they promise themselves, S3 for the sweep, and a folder for all else.

`make test` has both databases for sources, schema and locks. The other tests of the control database, and the promises
of the built-in exporters, are on PostgreSQL there, and on SQLite in `make test-systems`: the pages, the commands and
the embedded stack are tested on SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import platform_data as platform
import pytest
import servers
from factories import MadeUpExporter, World, things, world
from going_back import Backups
from migrated import migrate
from postbox import Postbox, open_postbox
from reused import ReusedDatabases
from sqlalchemy import Engine
from sweeping import AgedStorage, Shelf
from transferring import Provider, providing

from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.storage.local import LocalStorage
from portability.storage.s3.bucket import S3Storage

LOCKING = {"test_audit_chain", "test_claims", "test_lock_order", "test_simulated_turns", "test_subject_locks"}
"""Modules for both databases in `make test`: each has locks of its own kind."""

ON_POSTGRESQL = {"test_disclosures", "test_exporters", "test_referrals", "test_reviews", "test_shared_addresses"}
"""Modules about sources that `make test` has on PostgreSQL alone: others test the same exporters on both databases."""

STORAGES = {"test_closing_marker": ("local", "s3"), "test_sweep": ("s3",)}
"""Storages of a module in `make test`, where it is not a folder alone."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on SQLite that `make test` leaves to `make test-systems`."""
    for item in items:
        chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        of_control = chosen.get("control_url") == "sqlite" and item.path.stem not in LOCKING
        of_storage = "archives" in chosen and chosen["archives"] not in STORAGES.get(item.path.stem, ("local",))
        of_source = "sqlite" in chosen.values() and item.path.stem in ON_POSTGRESQL
        if of_control or of_storage or of_source:
            item.add_marker(pytest.mark.system)


@pytest.fixture
def box() -> Iterator[Postbox]:
    """A mail server."""
    with open_postbox() as opened_box:
        yield opened_box


@pytest.fixture(params=["sqlite", "postgresql"])
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A control database without a row: on PostgreSQL it is migrated, on SQLite `migrate` makes its file."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.sqlite"
    url: str = request.getfixturevalue("pg_control_url")
    return url


@pytest.fixture
def control_engine(control_url: str) -> Iterator[Engine]:
    engine = open_engine(control_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def _pg_platforms(pg_server: servers.Postgres) -> Iterator[ReusedDatabases]:
    with closing(ReusedDatabases(pg_server, platform.fill)) as databases:
        yield databases


@pytest.fixture
def pg_platform(pg_server: servers.Postgres, _pg_platforms: ReusedDatabases) -> Iterator[Engine]:
    """The hand-made platform on a real PostgreSQL."""
    name = _pg_platforms.take()
    engine = open_engine(pg_server.url(name))
    yield engine
    engine.dispose()
    _pg_platforms.give_back(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The hand-made platform as a source, on each database."""
    if request.param == "postgresql":
        yield request.getfixturevalue("pg_platform")
        return
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    platform.fill(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def migrated_engine(control_engine: Engine) -> Engine:
    """A control database of the newest revision, without a row."""
    migrate(control_engine)
    return control_engine


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    """A deployment on each database, with all keys and an exporter of three records; a test module may have its own."""
    return world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url).with_all_keys()


@pytest.fixture
def backups(made: World, request: pytest.FixtureRequest) -> Iterator[Backups]:
    """Copies of the control database of a world, to go back to."""
    is_postgresql = made.engine.dialect.name == "postgresql"
    server: servers.Postgres | None = request.getfixturevalue("pg_server") if is_postgresql else None
    copies = Backups(made, server)
    yield copies
    copies.drop()


@pytest.fixture
def other() -> Iterator[Provider]:
    """Another provider, who receives."""
    with providing() as provider:
        yield provider


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
