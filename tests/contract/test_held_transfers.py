"""A question about transfers to another country is open while one of them waits, and never for who asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from factories import World
from sqlalchemy import Connection, update
from transferring import OWNER, TEST, Provider, authorised, providing, ready, sending_world, started, view

from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import NotAllowed, WrongState
from portability.requests import approvals, exports
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.transfers import authorisations, recipient_removal, sending

RECIPIENT = models.recipient
OLGA, OTTO = Actor("officer", "olga"), Actor("officer", "otto")
End = Callable[[Connection, str], object]


@pytest.fixture
def made(tmp_path: Path) -> World:
    return sending_world(tmp_path)


def remove(connection: Connection, transfer_id: str) -> None:
    recipient_removal.remove(connection, sending.get(connection, transfer_id)["recipient_id"], actor=TEST)


def withdraw(connection: Connection, transfer_id: str) -> None:
    authorisations.revoke(connection, sending.get(connection, transfer_id)["authorisation_id"], actor=str(OWNER))


def expire(connection: Connection, transfer_id: str) -> None:
    row = exports.lock(connection, sending.get(connection, transfer_id)["export_id"])
    transition(connection, row, ExportState.EXPIRED, actor="clock")


@pytest.mark.parametrize("end", [remove, withdraw, expire])
def test_a_question_about_a_transfer_that_ended_is_closed(made: World, other: Provider, end: End) -> None:
    """A refusal would tell the person why they get no transfer that they withdrew themselves."""
    authorised(made, other.recorded(made, country="SG"))
    export_id = ready(made)
    transfer_id = started(made, export_id, other.recipient)
    with writing(made.engine) as connection:
        assert len(approvals.waiting(connection)) == 1
        end(connection, transfer_id)
    with writing(made.engine) as connection:
        assert not approvals.waiting(connection)
        with pytest.raises(WrongState):
            approvals.deny(connection, export_id, reason="no safeguard there", actor=OLGA)
        assert not approvals.denial(connection, export_id)


def test_nobody_approves_their_own_transfer_with_the_question_of_another(made: World, other: Provider) -> None:
    """One decision is about all transfers of the archive that wait."""
    export_id = ready(made)
    with providing() as third:
        for provider in (other, third):
            authorised(made, provider.recorded(made, country="SG"))
            with writing(made.engine) as connection:
                connection.execute(update(RECIPIENT).values(domain=RECIPIENT.c.id.concat(".example")))
    sent = []
    for provider, actor in ((other, OLGA), (third, OTTO)):
        with writing(made.engine) as connection:
            sent.append(sending.start(connection, made.place.settings, export_id, provider.recipient, actor=actor))
    for actor in (OLGA, OTTO):
        with writing(made.engine) as connection, pytest.raises(NotAllowed):
            approvals.approve(connection, export_id, actor=actor)
    with writing(made.engine) as connection:
        approvals.approve(connection, export_id, actor=Actor("officer", "third"))
    assert [view(made, transfer_id)["state"] for transfer_id in sent] == ["queued", "queued"]
    with reading(made.engine) as connection:
        assert not approvals.waiting(connection)
