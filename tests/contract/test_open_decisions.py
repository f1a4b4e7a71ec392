"""How long decisions of officers are open that no due date counts, and of which exports they are."""

from __future__ import annotations

from factories import World
from received_steps import decidable, recorded_sender
from sqlalchemy import update

from portability import metrics
from portability.api import Identity
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.requests import exports, reviews

DAY = 86_400


def days_open(made: World) -> dict[str, int]:
    found = {metric.name: metric for metric in metrics.collect(made.engine)}
    ages = found["portability_oldest_open_decision_age_seconds"].samples
    return {sample.labels["about"]: round(sample.value / DAY) for sample in ages}


def test_a_record_and_received_data_wait_for_an_officer(made: World) -> None:
    """The request is answered, so that no alarm of its due date counts the time in which no one decides."""
    assert days_open(made) == {"record": 0, "transfer": 0, "received": 0}
    made.with_all_keys()
    identifier = made.request("user:usr_jane")
    made.advance_all()
    with writing(made.engine) as connection:
        found = [(Identity("made", "thing_id", f"thing_{number}", tenant="ten_1"), "made/things") for number in (8, 9)]
        reviews.note(connection, exports.get(connection, identifier), found)
        connection.execute(update(models.review).values(found_at=now(-2 * DAY)))
    decidable(made, recorded_sender(made), "user:usr_jane")
    with writing(made.engine) as connection:
        connection.execute(update(models.received_transfer).values(fetched_at=now(-3 * DAY)))
    assert days_open(made) == {"record": 2, "transfer": 0, "received": 3}
    with reading(made.engine) as connection:
        assert [(row["export_id"], row["records"]) for row in reviews.waiting(connection)] == [(identifier, 2)]
