from __future__ import annotations

from pathlib import Path

from simultaneous import in_threads
from sqlalchemy import Engine

from portability.database import incidents
from portability.database.engine import open_engine
from portability.database.incidents import Incident


def incident_counts(migrated_engine: Engine) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in incidents.counted(migrated_engine)}


def test_incidents_are_counted_by_kind(migrated_engine: Engine) -> None:
    """Each kind has its own count and the time of its last incident."""
    incidents.count(migrated_engine, Incident.FORGED_MESSAGE)
    incidents.count(migrated_engine, Incident.FORGED_MESSAGE)
    incidents.count(migrated_engine, Incident.SWEPT, 5)
    assert incident_counts(migrated_engine) == {"forged_message": 2, "swept": 5}
    assert all(row["last_at"] is not None for row in incidents.counted(migrated_engine))


def test_those_who_count_at_once_lose_nothing(migrated_engine: Engine, control_url: str) -> None:
    """Every process of every machine adds to the same row."""

    def add(_number: int) -> None:
        own = open_engine(control_url)
        try:
            for _ in range(5):
                incidents.count(own, Incident.LEASE_LOST)
        finally:
            own.dispose()

    in_threads(4, add)
    assert incident_counts(migrated_engine) == {"lease_lost": 20}


def test_counting_is_no_reason_to_fail(tmp_path: Path) -> None:
    """If the database is down the count is lost, and the caller continues."""
    incidents.count(open_engine(f"sqlite:///{tmp_path}/nowhere/none.sqlite"), Incident.SWEPT)
