"""A feed ends with its consent, also one that is revoked or deleted as the feed begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feeding
import pytest
from factories import World
from sqlalchemy import delete, insert, select, update
from transferring import Provider, authorised, sending_world

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.transfers import authorisations, recipient_removal
from worker.clock import feeds as clock

FEED, CONSENT = models.feed, models.authorisation


@pytest.fixture
def consenting(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url)


def consent_of(made: World, other: Provider) -> str:
    return authorised(made, other.recorded(made), until=datetime.now(UTC) + timedelta(days=300))


def feed_that_serves(made: World, consent: str) -> str:
    """Begin a feed that serves a consent; returns its id."""
    feed = feeding.begin(made, profile="portability")
    with writing(made.engine) as connection:
        connection.execute(update(FEED).where(FEED.c.id == feed.id).values(authorisation_id=consent))
    return feed.id


def going_on(made: World) -> Sequence[str]:
    with reading(made.engine) as connection:
        return connection.scalars(select(FEED.c.id).where(FEED.c.ended_at.is_(None))).all()


def test_a_feed_ends_when_its_consent_expires(consenting: World, other: Provider) -> None:
    """The clock has noted when that is, once: from then on it looks at no feed whose time has not come."""
    feed = feed_that_serves(consenting, consent_of(consenting, other))
    assert [clock.note_ends(consenting.engine) for _ in range(2)] == [1, 0]
    both = select(FEED.c.consent_ends_at, CONSENT.c.expires_at).join(CONSENT, CONSENT.c.id == FEED.c.authorisation_id)
    with reading(consenting.engine) as connection:
        noted, expires_at = connection.execute(both).one()
    assert noted == expires_at
    assert (clock.end_over(consenting.engine), going_on(consenting)) == (0, [feed])
    with writing(consenting.engine) as connection:
        connection.execute(update(FEED).values(consent_ends_at=now(-1)))
    assert (clock.end_over(consenting.engine), going_on(consenting)) == (1, [])


@pytest.mark.parametrize("end", ["expired", "revoked", "deleted"])
def test_a_feed_whose_consent_has_ended_before_the_clock_saw_it_ends(
    consenting: World, other: Provider, end: str
) -> None:
    """So does one that a process of an earlier release has begun: it notes nothing."""
    consent = consent_of(consenting, other)
    feed_that_serves(consenting, consent)
    of_consent = update(CONSENT).where(CONSENT.c.id == consent)
    ways = {
        "expired": of_consent.values(expires_at=now(-1)),
        "revoked": of_consent.values(revoked_at=now()),
        "deleted": delete(CONSENT).where(CONSENT.c.id == consent),
    }
    with writing(consenting.engine) as connection:
        connection.execute(delete(models.notification))
        connection.execute(ways[end])
    assert clock.note_ends(consenting.engine) == 0
    assert (clock.end_over(consenting.engine), going_on(consenting)) == (1, [])


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_a_feed_that_begins_as_its_consent_is_revoked_ends(consenting: World, other: Provider) -> None:
    """The revocation does not see the feed, and the clock looks before the revocation is committed."""
    consent = consent_of(consenting, other)
    feed_that_serves(consenting, consent)
    with reading(consenting.engine) as connection:
        (row,) = connection.execute(select(FEED)).mappings().all()
    with writing(consenting.engine) as connection:
        connection.execute(delete(FEED))
    with writing(consenting.engine) as revoking:
        authorisations.revoke(revoking, consent, actor="subject:usr_1")
        with consenting.engine.begin() as connection:
            connection.execute(insert(FEED).values(**row))
        assert clock.note_ends(consenting.engine) == 0
        assert clock.end_over(consenting.engine) == 0
    assert (clock.note_ends(consenting.engine), clock.end_over(consenting.engine)) == (0, 1)


@pytest.mark.parametrize("way", ["revoked", "removed"])
def test_a_consent_that_ends_takes_its_noted_feed_with_it(consenting: World, other: Provider, way: str) -> None:
    """In the same transaction: no round of the clock looks at it again before its time."""
    recipient = other.recorded(consenting)
    consent = authorised(consenting, recipient, until=datetime.now(UTC) + timedelta(days=300))
    feed_that_serves(consenting, consent)
    assert clock.note_ends(consenting.engine) == 1
    with writing(consenting.engine) as connection:
        if way == "revoked":
            authorisations.revoke(connection, consent, actor="subject:usr_1")
        else:
            recipient_removal.remove(connection, recipient, actor="officer:olga")
    assert going_on(consenting) == []
