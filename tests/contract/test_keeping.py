"""The end of an archive is stated as it is: to the person, and to a provider that has an offer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from factories import World
from sqlalchemy import select, update
from transferring import Provider, authorised, encrypted, ready, sending_world, started

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import exports, keeping
from worker.clock import expiry

HOUR, DAY = 3_600, 24
NEVER = None
NEAR = timedelta(seconds=30)


def aged(made: World, hours: float, announced: float | None) -> str:
    """An archive that became ready hours ago, and whose end was announced hours ago."""
    export_id = ready(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(ended_at=now(-hours * HOUR)))
        if announced:
            outbox.queue(connection, MessageKind.EXPIRING, export_id)
            told = update(models.notification).where(models.notification.c.kind == "expiring")
            connection.execute(told.values(created_at=now(-announced * HOUR)))
    return export_id


@pytest.mark.parametrize(
    ("hours", "announced", "consent_hours", "kept_hours", "offer_hours"),
    [
        pytest.param(0, NEVER, NEVER, 7 * DAY, 7 * DAY, id="as long as its archive"),
        pytest.param(0, NEVER, 5, 7 * DAY, 5, id="the consent ends first"),
        pytest.param(6 * DAY, 24, NEVER, DAY, DAY, id="the archive ends first"),
        pytest.param(8 * DAY, 47, NEVER, 1, 1, id="announced late"),
        pytest.param(8 * DAY, NEVER, NEVER, 48, 48, id="not announced yet"),
        pytest.param(8 * DAY, 49, NEVER, 1 / 60, 1 / 60, id="the clock is about to delete it"),
    ],
)
def test_an_offer_ends_no_later_than_its_archive(
    tmp_path: Path,
    other: Provider,
    hours: int,
    announced: float | None,
    consent_hours: float | None,
    kept_hours: float,
    offer_hours: float,
) -> None:
    """The statement, the link, and what the API shows have one time."""
    made = sending_world(tmp_path)
    until = consent_hours and datetime.now(UTC) + timedelta(hours=consent_hours)
    authorised(made, other.recorded(made), until=until)
    export_id = aged(made, hours, announced)
    transfer_id = started(made, export_id, other.recipient)
    encrypted(made)
    with reading(made.engine) as connection:
        kept = keeping.kept_until(connection, made.place.settings, exports.get(connection, export_id))
        sent = connection.execute(select(models.transfer)).mappings().one()
        link = connection.execute(select(models.link).where(models.link.c.transfer_id == transfer_id)).mappings().one()
    exp = jwt.decode(sent["statement"], options={"verify_signature": False})["exp"]
    stated = [kept, sent["expires_at"], link["expires_at"], datetime.fromtimestamp(exp, UTC)]
    wanted = [kept_hours, offer_hours, offer_hours, offer_hours]
    for moment, in_hours in zip(stated, wanted, strict=True):
        assert abs(moment - datetime.now(UTC) - timedelta(hours=in_hours)) < NEAR


@pytest.mark.parametrize("end", ["offered", "delivered", "expired"])
def test_a_shorter_time_in_the_settings_ends_no_offer(tmp_path: Path, other: Provider, end: str) -> None:
    """Its end is in a signed statement. Once it is over, the archive has no longer time than others."""
    made = sending_world(tmp_path)
    authorised(made, other.recorded(made))
    export_id = aged(made, DAY, NEVER)
    started(made, export_id, other.recipient)
    encrypted(made)
    shorter = made.place.settings.model_copy(update={"archive_ttl_seconds": DAY * HOUR})
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(state=end))
        offer = connection.execute(select(models.transfer)).mappings().one()
    assert expiry.announce(made.engine, shorter) == (end != "offered")
    with writing(made.engine) as connection:
        connection.execute(update(models.notification).values(created_at=now(-3 * DAY * HOUR)))
        connection.execute(update(models.export).values(ended_at=now(-4 * DAY * HOUR)))
        kept = keeping.kept_until(connection, shorter, exports.get(connection, export_id))
    assert expiry.expire(made.engine, shorter) == (end != "offered")
    assert (kept >= offer["expires_at"]) == (end == "offered")
