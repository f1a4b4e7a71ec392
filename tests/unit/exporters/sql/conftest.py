"""A platform on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import platform_data as platform
import pytest
from sqlalchemy import Engine

from portability.database.engine import open_engine


@pytest.fixture
def filled_platform(tmp_path: Path) -> Iterator[Engine]:
    """With rows in every table."""
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    platform.fill(engine)
    yield engine
    engine.dispose()
