"""Leaps of the database's clock: it was a day ahead while leases and waits were stored, and is set back."""

from __future__ import annotations

from typing import Any

import pytest
from factories import World
from sqlalchemy import select, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.database.models import metadata
from portability.requests import slices
from worker.claim import fenced_writes
from worker.clock import leaps

SLICE = models.slice
DAY_SECONDS = 86_400


def shorten(made: World) -> int:
    return leaps.shorten(made.engine, made.place.settings)


def change_slices(made: World, **values: Any) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(SLICE).values(**values))


def test_the_lease_of_a_killed_worker_ends_soon_after_a_leap(made: World) -> None:
    """Its worker, if it lives, has ten minutes to renew it; then another worker continues the export, not tomorrow."""
    identifier = made.request()
    held = made.claim(DAY_SECONDS + 60)
    assert held
    assert shorten(made) == 1
    with reading(made.engine) as connection:
        [row] = slices.of(connection, identifier)
        lasts = connection.scalar(select(SLICE.c.lease_until <= now(600)))
    assert (row["token"], lasts) == (held.token, True)
    assert fenced_writes.renew(made.engine, held, 60, {}) is False
    assert shorten(made) == 0


def test_a_wait_after_a_failure_ends_at_once_after_a_leap(made: World) -> None:
    """What has failed is claimable now, and not when the clock of the database is there again."""
    identifier = made.request()
    change_slices(made, not_before=now(DAY_SECONDS))
    assert not made.claim()
    assert shorten(made) == 1
    held = made.claim()
    assert held
    assert held.id == identifier


@pytest.mark.parametrize("end", [{"lease_until": now(599)}, {"not_before": now(5400)}], ids=["lease", "wait"])
def test_what_lasts_as_long_as_it_may_is_left(made: World, end: dict[str, Any]) -> None:
    """The longest wait after a failure is an hour and a half."""
    made.request()
    change_slices(made, **end)
    assert shorten(made) == 0


def test_a_deployment_with_long_leases_keeps_them(made: World) -> None:
    """A lease of the settings is never too long."""
    made.request()
    long = made.place.settings.model_copy(update={"lease_seconds": 2.0 * DAY_SECONDS})
    change_slices(made, lease_until=now(2 * DAY_SECONDS))
    assert leaps.shorten(made.engine, long) == 0


def test_every_table_with_leases_has_their_ends_shortened() -> None:
    """A table that is added with `lease_until` is looked at, too."""
    leased = {table.name for table in metadata.tables.values() if "lease_until" in table.columns}
    assert {table.name for table in leaps.OPEN} == leased
