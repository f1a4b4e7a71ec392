"""What ends with a recipient that is removed: consents, feeds and transfers, and who hears of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import feeding
import pytest
from desks import SameContact, mailing
from factories import World
from postbox import Postbox, bodies
from sqlalchemy import func, select, update
from transferring import OWNER, TEST, Provider, authorised, encrypted, ready, sending_world, started

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import WrongState
from portability.messages import recipient_notices
from portability.transfers import authorisations, recipient_removal
from portability.trust import audit
from worker.clock import feeds, message_delivery

FEED, EXPORT, MESSAGE = models.feed, models.export, models.notification


@pytest.fixture
def made(tmp_path: Path) -> World:
    return sending_world(tmp_path)


def lasting(made: World, other: Provider, subject: str = "user:usr_1") -> str:
    """A consent until a date."""
    until = datetime.now(UTC) + timedelta(days=300)
    return authorised(made, other.recipient or other.recorded(made), subject=subject, until=until)


def removed(made: World, other: Provider) -> None:
    with writing(made.engine) as connection:
        recipient_removal.remove(connection, other.recipient, actor=TEST)


def heard(made: World, kind: str) -> list[str]:
    with reading(made.engine) as connection:
        return list(connection.scalars(select(MESSAGE.c.occasion).where(MESSAGE.c.kind == kind)))


def test_its_consents_end_for_good(made: World, other: Provider) -> None:
    """Each of them, with one event and one message; they do not count for another record of the same domain."""
    consents = {lasting(made, other), lasting(made, other, "user:usr_2")}
    removed(made, other)
    with reading(made.engine) as connection:
        shown = authorisations.of(connection)
        events = [each["detail"] for each in audit.events(connection) if each["action"] == "authorisation.revoked"]
    assert [(row["stands"], row["lasts"], bool(row["revoked_at"])) for row in shown] == [(False, False, True)] * 2
    assert {each["authorisation"] for each in events} == consents == set(heard(made, "consent_revoked"))
    other.recipient = ""
    other.recorded(made)
    export_id = ready(made)
    with pytest.raises(authorisations.NotAuthorised):
        started(made, export_id, other.recipient)


def test_a_consent_that_had_ended_before_has_no_second_end(made: World, other: Provider) -> None:
    """The person has withdrawn it, or it was for one transfer, which is over."""
    withdrawn, export_id, used = lasting(made, other), ready(made), authorised(made, other.recipient)
    started(made, export_id, other.recipient)
    with writing(made.engine) as connection:
        authorisations.revoke(connection, withdrawn, actor=str(OWNER))
    removed(made, other)
    with reading(made.engine) as connection:
        assert not authorisations.get(connection, used)["revoked_at"]
    assert heard(made, "consent_revoked") == [withdrawn]
    assert len(heard(made, "not_transferred")) == 1


def test_its_feeds_end_at_once(made: World, other: Provider) -> None:
    """No further archive of the person's data is made for it, and the one that is being made is cancelled."""
    consent, feed = lasting(made, other), feeding.begin(made, profile="portability")
    export_id = feed.request()
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(authorisation_id=consent, number=1, every_days=30, next_at=now(-1)))
    removed(made, other)
    assert feeds.request_due(made.engine, made.place.settings) == 0
    with reading(made.engine) as connection:
        assert connection.scalar(select(FEED.c.ended_at))
        assert not connection.scalar(select(FEED.c.sealed_key))
        assert connection.scalar(select(func.count()).select_from(EXPORT)) == 1
        assert [each["action"] for each in audit.events(connection)].count("feed.ended") == 1
    assert made.view(export_id)["state"] == "cancelled"


def test_a_recipient_that_has_data_hears_of_it(made: World, other: Provider) -> None:
    """Its transfer is stopped while it downloads: it has a part of the data, and must know (GDPR Art. 19)."""
    lasting(made, other)
    transfer_id = started(made, ready(made), other.recipient)
    encrypted(made)
    with writing(made.engine) as connection:
        link = connection.scalar(select(models.link.c.id).where(models.link.c.transfer_id == transfer_id))
        claim = {"link_id": link, "volume": 1, "claim_sha256": "0" * 64, "created_at": now(), "expires_at": now()}
        connection.execute(models.link_claim.insert().values(**claim))
    removed(made, other)
    with reading(made.engine) as connection:
        found = [(row["transfer_id"], row["kind"]) for row in recipient_notices.rows(connection)]
    assert found == [(transfer_id, "withdrawn")]


def test_what_waits_for_a_confirmation_cannot_be_confirmed(made: World, other: Provider) -> None:
    """The person is not asked for a consent to a provider that gets nothing."""
    recipient = other.recorded(made)
    consent = authorised(made, recipient, actor=feeding.ACTOR, evidence="paper 7")
    removed(made, other)
    with writing(made.engine) as connection, pytest.raises(WrongState):
        authorisations.confirm(connection, consent, actor=OWNER)


def test_the_letter_says_why(made: World, other: Provider, box: Postbox) -> None:
    """It does not advise to consent again, which is not possible."""
    lasting(made, other)
    removed(made, other)
    message_delivery.deliver(mailing(made, box, SameContact()))
    *_, last = box.taken
    for body in bodies(last):
        said = " ".join(body.split())
        assert "We no longer send data to this provider" in said
        assert "consent again" not in said
