"""What is left of ended exports: the clock looks at those that are not marked as empty."""

from __future__ import annotations

from datetime import datetime

from factories import World
from sqlalchemy import update

from portability.database import models
from portability.database.engine import now, writing
from portability.requests import retries
from worker.write import left
from worker.write.withdraw import withdraw_discarded

EXPORT = models.export


def failed(made: World, identifier: str) -> int:
    """Let an export fail that has stored volumes; returns how many the clock deletes."""
    made.advance_all()
    assert made.archive_keys()
    set_columns(made, identifier, state="failed", ended_at=now())
    return withdraw_discarded(made.engine, lambda: made.place.storage)


def set_columns(made: World, identifier: str, **values: object) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(**values))


def test_a_mark_is_for_one_end(made: World) -> None:
    """An export of which nothing is left, that is retried and fails again, is looked at again."""
    identifier = made.request()
    assert failed(made, identifier) == 1
    assert (made.archive_keys(), left.exports(made.engine)) == ([], [])
    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor="operator:test")
    assert failed(made, identifier) == 1
    assert (made.archive_keys(), left.exports(made.engine)) == ([], [])


def test_an_export_with_a_volume_gets_no_mark(made: World) -> None:
    """It is looked at until its volume is deleted."""
    identifier = made.request()
    made.advance_all()
    set_columns(made, identifier, state="expired", ended_at=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    left.mark(made.engine)
    assert left.exports(made.engine) == [identifier]
    assert withdraw_discarded(made.engine, lambda: made.place.storage) == 1
    assert left.exports(made.engine) == []
