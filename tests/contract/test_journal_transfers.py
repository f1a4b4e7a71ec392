"""The journal of transfers: recipients, consents, offers, receipts and revocations come back after a restore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import World
from going_back import Backups, contents, journal_of, reconciled
from transferring import Provider, authorised, encrypted, ready, sending_world, started, view

from portability.database.engine import writing
from portability.journal import heard
from portability.journal.reconcile import LossOutcome
from portability.messages.outbox import MessageKind
from portability.requests.policy import Actor
from portability.safe_http import SafeHttpClient
from portability.transfers import authorisations, receipts, recipient_removal, sending
from worker.clock import sweep

TEST = "operator:test"


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    made = sending_world(tmp_path, database_url=control_url)
    journal_of(made).ship()
    return made


def test_a_transfer_comes_back_from_each_of_its_moments(made: World, other: Provider, backups: Backups) -> None:
    """Rows and objects are as they were, and the recipient can still confirm what it was offered."""
    known: dict[str, Any] = {}
    points = []
    for step in _steps(made, other, known):
        points.append(backups.take())
        step()
        journal_of(made).ship()
    assert view(made, known["transfer"])["state"] == "delivered"
    assert view(made, known["second"])["state"] == "revoked"
    sweep.sweep(made.engine, made.place.storage, actor=TEST)
    wanted, stored = contents(made), set(made.stored_keys())
    for point in points:
        backups.restore(point)
        found = reconciled(made)
        assert {event.outcome for event in found.events} <= {"restored", "noted"}, point
        sweep.sweep(made.engine, made.place.storage, actor=TEST)
        assert contents(made) == wanted, point
        assert stored <= set(made.stored_keys()), point


def test_an_offer_that_was_lost_can_be_confirmed(made: World, other: Provider, backups: Backups) -> None:
    """The recipient has the statement, and its receipt is accepted."""
    recipient = other.recorded(made)
    authorised(made, recipient)
    identifier = ready(made)
    before = backups.take()
    transfer_id = started(made, identifier, recipient)
    encrypted(made)
    receipt = other.receipt(made, transfer_id)
    journal_of(made).ship()
    backups.restore(before)
    reconciled(made)
    assert view(made, transfer_id)["state"] == "offered"
    _confirm(made, transfer_id, receipt)
    assert view(made, transfer_id)["state"] == "delivered"


def test_a_person_whose_answer_about_a_consent_is_lost_is_named(made: World, other: Provider, backups: Backups) -> None:
    """She has confirmed one consent and revoked another, and both were changed since; the other two come back."""
    recipient = other.recorded(made)
    staff = Actor("staff", "sue")
    asked = [authorised(made, recipient, subject=f"user:usr_{n}", actor=staff, evidence="file 7") for n in range(2)]
    given = [authorised(made, recipient, subject=f"user:usr_{n}") for n in range(2, 4)]
    journal_of(made).ship()
    before = backups.take()
    with writing(made.engine) as connection:
        for number, name in enumerate(asked):
            authorisations.confirm(connection, name, actor=Actor("subject", f"usr_{number}"))
        for name in given:
            authorisations.revoke(connection, name, actor="subject:usr_2")
    journal_of(made).ship()
    backups.restore(before)
    with writing(made.engine) as connection:
        for name in (asked[0], given[0]):
            authorisations.revoke(connection, name, actor=TEST)
    found = reconciled(made).events
    assert {(event.action, event.about) for event in found if event.must_inform} == {
        ("authorisation.confirmed", asked[0]),
        ("authorisation.revoked", given[0]),
    }
    assert {event.about for event in found if event.outcome == "restored"} == {asked[1], given[1]}


def test_every_message_says_which_event_it_reports() -> None:
    """A new message cannot be forgotten, and no event is invented."""
    assert set(heard.REPORTED) == set(MessageKind)
    documented = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    assert not [action for action in heard.HEARD if f"`{action}`" not in documented]


def test_every_outcome_is_documented() -> None:
    """In the table of outcomes, and among the details of the event that counts them."""
    docs = Path(__file__).parents[2] / "docs"
    (counted,) = [line for line in (docs / "audit.md").read_text().splitlines() if "| person | `events`" in line]
    table = (docs / "high-availability.md").read_text()
    assert not [outcome for outcome in LossOutcome if f"`{outcome}`" not in counted or f"| `{outcome}` |" not in table]


def _confirm(made: World, transfer_id: str, receipt: str) -> None:
    with writing(made.engine) as connection:
        row, recipient = receipts.addressed(connection, transfer_id)
    client = SafeHttpClient(loopback=True)
    checked = receipts.checked(client, receipt, row, recipient, iss=made.place.settings.iss)
    with writing(made.engine) as connection:
        receipts.record(connection, transfer_id, checked)


def _steps(made: World, other: Provider, known: dict[str, Any]) -> list[Callable[[], Any]]:
    def keep(name: str, act: Callable[[], Any]) -> Callable[[], None]:
        return lambda: known.update({name: act()})

    def change(act: Callable[[Any], Any]) -> Callable[[], None]:
        def step() -> None:
            with writing(made.engine) as connection:
                act(connection)

        return step

    return [
        keep("recipient", lambda: other.recorded(made)),
        keep("consent", lambda: authorised(made, known["recipient"])),
        keep("export", lambda: ready(made)),
        keep("transfer", lambda: started(made, known["export"], known["recipient"])),
        lambda: encrypted(made),
        lambda: _confirm(made, known["transfer"], other.receipt(made, known["transfer"])),
        keep("more", lambda: authorised(made, known["recipient"])),
        keep("second", lambda: started(made, known["export"], known["recipient"])),
        change(lambda connection: sending.revoke(connection, known["second"], actor=TEST)),
        change(lambda connection: authorisations.revoke(connection, known["more"], actor=TEST)),
        change(lambda connection: recipient_removal.remove(connection, known["recipient"], actor=TEST)),
    ]
