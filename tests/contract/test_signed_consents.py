"""A signed consent that two people have seen counts a day after the notice to its subject was delivered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desks import SameContact, mailing
from factories import World
from postbox import Postbox
from sqlalchemy import update
from transferring import OWNER, Provider, authorised, ready, sending_world, started

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import NotAllowed, ReasonRequired, WrongState
from portability.requests.policy import Actor
from portability.transfers import authorisations
from portability.transfers.authorisations import NotAuthorised
from portability.trust import audit
from worker.clock import message_delivery

TABLE = models.notification
HOUR = 3600
OLGA, PAUL = (
    Actor("officer", "olga", issuer="https://id.example"),
    Actor("officer", "paul", issuer="https://id.example"),
)


@pytest.fixture
def made(control_url: str, tmp_path: Path, other: Provider) -> World:
    made = sending_world(tmp_path, database_url=control_url)
    other.recorded(made)
    return made


def countersigned(made: World, authorisation_id: str, actor: Actor = PAUL, document: str = "D-7") -> None:
    with writing(made.engine) as connection:
        authorisations.countersign(connection, authorisation_id, document=document, actor=actor)


def recorded_by_olga(made: World, other: Provider) -> str:
    return authorised(made, other.recipient, actor=OLGA, evidence="T-1")


def noticed(made: World, box: Postbox, hours_ago: float, **contact: Any) -> None:
    """The notice is sent, and this long has passed."""
    message_delivery.deliver(mailing(made, box, SameContact(**contact)))
    with writing(made.engine) as connection:
        sent = update(TABLE).where(TABLE.c.kind == "consent_asked", TABLE.c.state == "sent")
        connection.execute(sent.values(sent_at=now(-hours_ago * HOUR)))


def is_sendable(made: World, other: Provider) -> bool:
    export_id = ready(made)
    try:
        started(made, export_id, other.recipient)
    except NotAuthorised:
        return False
    return True


@pytest.mark.parametrize(("hours", "counts"), [(23.9, False), (24.1, True)])
def test_the_person_has_a_day_to_object(
    made: World, other: Provider, box: Postbox, hours: float, *, counts: bool
) -> None:
    """From the moment at which the mail server took the notice."""
    countersigned(made, recorded_by_olga(made, other))
    assert not is_sendable(made, other)
    noticed(made, box, hours)
    assert is_sendable(made, other) == counts


def test_one_person_is_not_enough(made: World, other: Provider, box: Postbox) -> None:
    """Neither alone, nor in another role."""
    given = recorded_by_olga(made, other)
    for role in ("officer", "operator"):
        with pytest.raises(NotAllowed, match="second person"):
            countersigned(made, given, Actor(role, "olga", issuer="https://id.example"))
    noticed(made, box, 48)
    assert not is_sendable(made, other)


def test_an_undelivered_notice_holds_it(made: World, other: Provider, box: Postbox) -> None:
    """The mail server does not know the address: nothing is sent, however long ago."""
    box.on_recipient = lambda _address: "550 unknown"
    countersigned(made, recorded_by_olga(made, other))
    noticed(made, box, 48)
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(created_at=now(-48 * HOUR)))
    assert not is_sendable(made, other)


def test_a_changed_address_holds_it(made: World, other: Provider, box: Postbox) -> None:
    """The notice may have reached another person; the subject can still confirm."""
    given = recorded_by_olga(made, other)
    countersigned(made, given)
    noticed(made, box, 48, changed_at=datetime.now(UTC) - timedelta(days=2))
    assert len(box.taken) == 1
    assert not is_sendable(made, other)
    with writing(made.engine) as connection:
        authorisations.confirm(connection, given, actor=OWNER)
    assert is_sendable(made, other)


def test_the_person_objects(made: World, other: Provider, box: Postbox) -> None:
    """Then it has ended, and cannot be countersigned again."""
    given = recorded_by_olga(made, other)
    countersigned(made, given)
    noticed(made, box, 12)
    with writing(made.engine) as connection:
        authorisations.revoke(connection, given, actor=str(OWNER))
    noticed(made, box, 48)
    with pytest.raises(NotAuthorised, match="has not authorised"):
        started(made, ready(made), other.recipient)
    with pytest.raises(WrongState):
        countersigned(made, given)


def test_the_log_and_the_row_say_who_saw_what(made: World, other: Provider) -> None:
    """One event, also if it is done twice; the document's place is kept, and is required."""
    given = recorded_by_olga(made, other)
    for document, error in ((" ", ReasonRequired), ("x" * 201, BadInput)):
        with pytest.raises(error):
            countersigned(made, given, document=document)
    countersigned(made, given)
    countersigned(made, given, document="D-8")
    with reading(made.engine) as connection:
        row = authorisations.get(connection, given)
        events = [event for event in audit.events(connection) if event["action"] == "authorisation.countersigned"]
    assert (row["document"], row["countersigned_by"]) == ("D-7", "officer:paul")
    assert [(event["actor"], event["detail"]["authorisation"]) for event in events] == [("officer:paul", given)]


def test_what_the_subject_has_confirmed_needs_no_second_person(made: World, other: Provider) -> None:
    """It counts already."""
    given = recorded_by_olga(made, other)
    with writing(made.engine) as connection:
        authorisations.confirm(connection, given, actor=OWNER)
    with pytest.raises(WrongState):
        countersigned(made, given)
