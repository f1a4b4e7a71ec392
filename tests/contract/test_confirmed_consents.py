"""A consent that another person recorded is worth nothing until the subject has confirmed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import World
from sqlalchemy import Connection, select, update
from transferring import Provider, authorised, ready, sending_world, started

from portability.api import SubjectKind
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import NotAllowed, WrongState
from portability.requests.policy import Actor
from portability.transfers import authorisations
from portability.transfers.authorisations import NotAuthorised
from portability.trust import audit

OFFICER, ADMIN, OWNER = Actor("officer", "olga"), Actor("tenant_admin", "adm_1", "ten_1"), Actor("subject", "usr_1")


@pytest.fixture
def made(control_url: str, tmp_path: Path, other: Provider) -> World:
    made = sending_world(tmp_path, database_url=control_url)
    other.recorded(made)
    return made


def row_of(connection: Connection, authorisation_id: str) -> tuple[bool, bool]:
    (row,) = (row for row in authorisations.of(connection) if row["id"] == authorisation_id)
    return bool(row["stands"]), bool(row["confirmed"])


@pytest.mark.parametrize("role", ["officer", "operator"])
def test_what_another_person_recorded_is_worth_nothing_until_it_is_confirmed(
    made: World, other: Provider, role: str
) -> None:
    """With any evidence; nothing is sent until the subject has confirmed it. The log has both steps."""
    export_id = ready(made)
    given = authorised(made, other.recipient, actor=Actor(role, "olga"), evidence="x")
    with pytest.raises(NotAuthorised, match="has not confirmed"):
        started(made, export_id, other.recipient)
    with writing(made.engine) as connection:
        assert row_of(connection, given) == (False, False)
        with pytest.raises(NotAllowed):
            authorisations.confirm(connection, given, actor=Actor(role, "olga"))
        authorisations.confirm(connection, given, actor=OWNER)
        authorisations.confirm(connection, given, actor=OWNER)
        assert row_of(connection, given) == (True, True)
        events = [(event["action"], event["detail"].get("confirmed")) for event in audit.events(connection)][-2:]
    assert events == [("authorisation.given", False), ("authorisation.confirmed", None)]
    assert started(made, export_id, other.recipient)


def test_the_person_and_the_administrator_need_no_confirmation(made: World, other: Provider) -> None:
    """They give it themselves; and a deployment without a second person records at once."""
    relaxed: dict[str, Any] = {"needs_confirmation": False, "evidence": "T-1"}
    own: dict[str, Any] = {}
    for actor, more in ((OWNER, own), (ADMIN, own), (OFFICER, relaxed)):
        given = authorised(made, other.recipient, actor=actor, **more)
        with reading(made.engine) as connection:
            assert row_of(connection, given) == (True, True)


def test_a_consent_that_was_withdrawn_is_not_confirmed(made: World, other: Provider) -> None:
    """The person withdraws what they do not recognise."""
    given = authorised(made, other.recipient, actor=OFFICER, evidence="T-1")
    with writing(made.engine) as connection:
        authorisations.revoke(connection, given, actor=str(OWNER))
        with pytest.raises(WrongState):
            authorisations.confirm(connection, given, actor=OWNER)


@pytest.mark.parametrize("column", ["expires_at", "used_at"])
def test_a_consent_that_has_ended_is_not_confirmed(made: World, other: Provider, column: str) -> None:
    """Expired or used: nothing would be sent, so the person is not informed that it is given."""
    given = authorised(made, other.recipient, actor=OFFICER, evidence="T-1")
    table, message = models.authorisation, models.notification
    with writing(made.engine) as connection:
        connection.execute(update(table).where(table.c.id == given).values({column: now(-60)}))
        with pytest.raises(WrongState, match="has ended"):
            authorisations.confirm(connection, given, actor=OWNER)
        assert "consent_given" not in connection.scalars(select(message.c.kind)).all()


def test_a_consent_that_is_sent_twice_is_one(made: World, other: Provider) -> None:
    """A client repeats what it has got no answer to: who revokes the one authorisation then has revoked all of it."""
    whom, until = other.recipient, datetime.now(UTC) + timedelta(days=30)
    once, lasting = authorised(made, whom), authorised(made, whom, until=until)
    recorded = authorised(made, whom, actor=OFFICER, evidence="T-1")

    assert (authorised(made, whom), authorised(made, whom, until=until)) == (once, lasting)
    assert authorised(made, whom, actor=OFFICER, evidence="T-1") == recorded
    assert len({once, lasting, recorded}) == 3
    with reading(made.engine) as connection:
        actions = [event["action"] for event in audit.events(connection)]
        kinds = connection.scalars(select(models.notification.c.kind)).all()
    assert actions.count("authorisation.given") == 3
    assert sorted(kinds) == ["consent_asked", "consent_given", "consent_given"]


@pytest.mark.parametrize(
    "more",
    [
        {"datasets": ["calls/things"]},
        {"until": 60},
        {"actor": OFFICER, "evidence": "T-2"},
        {"actor": Actor("officer", "otto"), "evidence": "T-1"},
        {"subject": "user:usr_2", "actor": Actor("subject", "usr_2")},
        {"dpop_jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
    ],
    ids="-".join,
)
def test_another_consent_is_another_authorisation(made: World, other: Provider, more: dict[str, Any]) -> None:
    """Of other data, another end (in days), person, evidence, key or subject."""
    before = [authorised(made, other.recipient), authorised(made, other.recipient, actor=OFFICER, evidence="T-1")]
    ends = {"until": datetime.now(UTC) + timedelta(days=more["until"])} if "until" in more else {}

    assert authorised(made, other.recipient, **more | ends) not in before


def test_a_consent_that_has_begun_or_ended_is_given_anew(made: World, other: Provider) -> None:
    """After its transfer has begun, or it was revoked, the same words allow one more transfer."""
    export_id = ready(made)
    used = authorised(made, other.recipient)
    started(made, export_id, other.recipient)
    fresh = authorised(made, other.recipient)
    with writing(made.engine) as connection:
        authorisations.revoke(connection, fresh, actor=str(OWNER))

    assert len({used, fresh, authorised(made, other.recipient)}) == 3


def test_a_row_of_an_earlier_release(made: World, other: Provider) -> None:
    """It has no time of confirmation: what the person gave counts, what another person recorded does not."""
    own = authorised(made, other.recipient)
    recorded = authorised(made, other.recipient, actor=OFFICER, evidence="T-1", needs_confirmation=False)
    with writing(made.engine) as connection:
        connection.execute(update(models.authorisation).values(confirmed_at=None, confirmed_by=None))
        assert row_of(connection, own) == (True, True)
        assert row_of(connection, recorded) == (False, False)


def test_each_kind_of_subject_can_confirm(made: World, other: Provider) -> None:
    """A contact too, who logs in with a code."""
    contact = Actor("subject", "con_1", "ten_1", SubjectKind.CONTACT)
    given = authorised(made, other.recipient, subject="contact:con_1", tenant="ten_1", actor=OFFICER, evidence="T-1")
    with writing(made.engine) as connection:
        authorisations.confirm(connection, given, actor=contact)
        assert row_of(connection, given) == (True, True)
