"""A copy or an archive of a feed that cannot be sent: the person hears of it, and the page of the request shows it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feeding
import pytest
from factories import World
from sqlalchemy import RowMapping, select, update
from transferring import EXPORTER, OWNER, TEST, Provider, authorised, ready, sending_world, started

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.law.profiles import SENDABLE, Profile
from portability.pulls import copies
from portability.requests import acceptance, transfer_ends
from portability.transfers import authorisations, recipient_removal, sending
from worker.clock import feeds, pulls

PULL, MESSAGE, FEED = models.pull, models.notification, models.feed
ELSE = [f"{EXPORTER}/others"]
"""Datasets of which the archive has nothing."""


@pytest.fixture
def made(tmp_path: Path) -> World:
    return sending_world(tmp_path)


def consented(made: World, other: Provider, datasets: Sequence[str] = (EXPORTER,)) -> str:
    """A consent until a date."""
    until = datetime.now(UTC) + timedelta(days=300)
    return authorised(made, other.recipient or other.recorded(made), until=until, datasets=list(datasets))


def pulled_by_consent(made: World, consent: str) -> str:
    """A copy that a provider has asked for, and that is ready; returns its export."""
    export_id = ready(made)
    with writing(made.engine) as connection:
        pull = {"id": "pul_1", "authorisation_id": consent, "export_id": export_id, "created_at": now()}
        connection.execute(PULL.insert().values(**pull))
    return export_id


def served(made: World, consent: str) -> str:
    """A ready archive of a feed that serves a consent; returns its export."""
    feed = feeding.begin(made, profile="portability")
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(authorisation_id=consent))
    export_id = feed.request()
    feed.next(export_id)
    return export_id


def pull_of(made: World) -> RowMapping:
    with reading(made.engine) as connection:
        return connection.execute(select(PULL)).mappings().one()


def ends(made: World, export_id: str) -> list[str | None]:
    """How the transfers of an export ended."""
    with reading(made.engine) as connection:
        return [transfer_ends.of(connection, row) for row in sending.of(connection, export_id)]


def told(made: World, kind: str = "not_transferred") -> int:
    with reading(made.engine) as connection:
        return len(connection.scalars(select(MESSAGE.c.id).where(MESSAGE.c.kind == kind)).all())


def two_rounds(made: World) -> None:
    """Two rounds of the clock."""
    for _ in range(2):
        assert not pulls.send_ready(made.engine, made.place.settings)
        assert not feeds.send_ready(made.engine, made.place.settings)


def test_a_copy_that_the_consent_does_not_cover(made: World, other: Provider) -> None:
    """The provider hears of it too."""
    export_id = pulled_by_consent(made, consented(made, other, ELSE))
    two_rounds(made)
    assert (ends(made, export_id), told(made)) == (["unauthorised"], 1)
    assert (pull_of(made)["error_code"], bool(pull_of(made)["transfer_id"])) == ("not_authorised", True)


@pytest.mark.parametrize("is_own", [False, True])
def test_a_copy_whose_recipient_was_removed_or_whose_consent_was_withdrawn(
    made: World, other: Provider, *, is_own: bool
) -> None:
    """The end of the consent has a message of its own."""
    consent = consented(made, other)
    export_id = pulled_by_consent(made, consent)
    with writing(made.engine) as connection:
        if is_own:
            authorisations.revoke(connection, consent, actor=str(OWNER))
        else:
            recipient_removal.remove(connection, other.recipient, actor=TEST)
    two_rounds(made)
    assert (ends(made, export_id), told(made), told(made, "consent_revoked")) == (["revoked"], 0, 1)


def test_a_copy_waits_while_its_export_is_not_ready(made: World, other: Provider) -> None:
    """A retry of its gaps may begin after the clock has found it, which says nothing about the copy."""
    export_id = pulled_by_consent(made, consented(made, other, ELSE))
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="running"))
        copies.fail(connection, "pul_1", "wrong_state")
    assert (ends(made, export_id), pull_of(made)["error_code"], told(made)) == ([], None, 0)


def test_a_copy_that_is_being_sent_by_hand_already(made: World, other: Provider) -> None:
    """The page shows that transfer, and its end has its message."""
    export_id = pulled_by_consent(made, consented(made, other))
    started(made, export_id, other.recipient)
    two_rounds(made)
    assert (ends(made, export_id), pull_of(made)["error_code"], told(made)) == ([None], "wrong_state", 0)


def test_an_archive_of_a_feed_that_the_consent_does_not_cover(made: World, other: Provider) -> None:
    """The clock retries it later, because the person may consent; the end of the feed has its message."""
    export_id = served(made, consented(made, other, ELSE))
    two_rounds(made)
    assert (ends(made, export_id), told(made)) == (["unauthorised"], 0)
    consented(made, other)
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(ended_at=now(-3601)))
    assert feeds.send_ready(made.engine, made.place.settings) == 1


def test_an_archive_of_a_feed_whose_recipient_was_removed(made: World, other: Provider) -> None:
    """The feed has ended with the consent."""
    export_id = served(made, consented(made, other))
    with writing(made.engine) as connection:
        recipient_removal.remove(connection, other.recipient, actor=TEST)
    two_rounds(made)
    assert (ends(made, export_id), told(made), told(made, "consent_revoked")) == ([], 0, 1)


@pytest.mark.parametrize("profile", Profile)
def test_a_feed_whose_archives_are_never_sent_serves_no_consent(made: World, other: Provider, profile: Profile) -> None:
    """The clock tried to send each of them until it was deleted."""
    consent, is_sent = consented(made, other), profile in SENDABLE
    asked = acceptance.check(profile=Profile.PORTABILITY, subject="user:usr_1")
    with reading(made.engine) as connection, nullcontext() if is_sent else pytest.raises(BadInput):
        authorisations.check_standing(connection, consent, replace(asked, profile=profile))
