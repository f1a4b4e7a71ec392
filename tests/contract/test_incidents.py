from __future__ import annotations

from pathlib import Path

import pytest
from simultaneous import in_threads
from sqlalchemy import Engine

from portability import incidents, migrations
from portability.db import open_engine
from portability.incidents import Incident


@pytest.fixture
def engine(control_engine: Engine) -> Engine:
    migrations.upgrade(control_engine)
    return control_engine


def counts(engine: Engine) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in incidents.counted(engine)}


def test_incidents_are_counted_by_kind(engine: Engine) -> None:
    """Each kind has its own count and the time of the last one."""
    incidents.count(engine, Incident.FORGED_MESSAGE)
    incidents.count(engine, Incident.FORGED_MESSAGE)
    incidents.count(engine, Incident.SWEPT, 5)
    assert counts(engine) == {"forged_message": 2, "swept": 5}
    assert all(row["last_at"] is not None for row in incidents.counted(engine))


def test_those_who_count_at_once_lose_nothing(engine: Engine, control_url: str) -> None:
    """Every process of every machine adds to the same row."""

    def add(_number: int) -> None:
        own = open_engine(control_url)
        try:
            for _ in range(5):
                incidents.count(own, Incident.LEASE_LOST)
        finally:
            own.dispose()

    in_threads(4, add)
    assert counts(engine) == {"lease_lost": 20}


def test_counting_is_no_reason_to_fail(tmp_path: Path) -> None:
    """Where the database is away the count is lost, and whoever counted goes on."""
    incidents.count(open_engine(f"sqlite:///{tmp_path}/nowhere/none.sqlite"), Incident.SWEPT)
