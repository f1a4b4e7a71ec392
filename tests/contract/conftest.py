"""The control database twice: every test here holds on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from portability.db import open_engine


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
