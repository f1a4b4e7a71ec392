"""Received transfers on each control database: claims, decisions, differences, ends."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from factories import World
from simultaneous import in_threads
from sqlalchemy import Connection, RowMapping, select, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import WrongState
from portability.inbox import decisions, differences, offers, received, senders, work
from portability.inbox.offers import SignedWebhook
from portability.inbox.senders import SenderEntry
from portability.inbox.states import ReceiptState, ReceivedState
from portability.inbox.transition import transition
from portability.messages.outbox import MessageKind
from portability.trust import keys

ORIGIN = "https://8.8.8.8"
TABLE = models.received_transfer
OFFICER = "officer:olga"
SAID = {"statement": "a.b.c", "archive_kind": "user", "volumes": 1}


@pytest.fixture
def stored_offer(made: World) -> str:
    """A received transfer that is to be fetched."""
    settings = made.place.settings
    with writing(made.engine) as connection:
        keys.ensure(connection, settings.keys, purposes=("link",), actor=OFFICER)
        entry = SenderEntry("A Care", "https://a.example", f"{ORIGIN}/jwks.json")
        identifier = senders.add(connection, settings.keys, entry, "whsec_" + "A" * 43 + "=", actor=OFFICER)
        data = {
            "transfer": "trf_1",
            "url": f"{ORIGIN}/d/x",
            "expires_at": (datetime.now(UTC) + timedelta(7)).isoformat(),
        }
        webhook = SignedWebhook(senders.get(connection, identifier), "msg_1", offers.OFFERED, data, b"")
        first = offers.store(connection, settings, webhook)
        assert offers.store(connection, settings, webhook) == first
    return first


def test_one_sender_is_recorded_for_an_issuer(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that are recorded at the same moment one is refused: the webhooks of the other secret would be forged."""
    settings, both_looked, known = made.place.settings, threading.Barrier(2), senders.of_issuer

    def looked(connection: Connection, issuer: str) -> RowMapping | None:
        found = known(connection, issuer)
        with suppress(threading.BrokenBarrierError):
            both_looked.wait(1)
        return found

    def record(number: int) -> str:
        entry = SenderEntry("A Care", "https://twice.example", f"{ORIGIN}/jwks.json")
        secret = "whsec_" + "AB"[number] * 43 + "="
        try:
            with writing(made.engine) as connection:
                senders.add(connection, settings.keys, entry, secret, actor=OFFICER)
        except WrongState as fault:
            return fault.code
        return "recorded"

    with writing(made.engine) as connection:
        keys.ensure(connection, settings.keys, purposes=("link",), actor=OFFICER)
    monkeypatch.setattr(senders, "of_issuer", looked)
    assert sorted(in_threads(2, record)) == ["recorded", "wrong_state"]


def step(made: World, to: ReceivedState, **columns: object) -> None:
    """What the receiving service does with the next transfer that is due."""
    row = work.claim(made.engine, 60)
    assert row is not None
    with writing(made.engine) as connection:
        transition(connection, row, to, actor=work.ACTOR, columns=columns)


def state(made: World, identifier: str) -> str:
    with reading(made.engine) as connection:
        return str(received.get(connection, identifier)["state"])


def compared(made: World, identifier: str) -> str:
    """The id of a difference that an officer can decide on."""
    step(made, ReceivedState.FETCHED, fetched_at=now(), **SAID)
    with writing(made.engine) as connection:
        decisions.assign(
            connection,
            identifier,
            subject="user:usr_1",
            tenant=None,
            company="ten_1",
            on_conflict="keep",
            actor=OFFICER,
        )
    step(made, ReceivedState.COMPARED)
    with reading(made.engine) as connection:
        return str(received.get(connection, identifier)["comparison"])


def test_a_claim_is_of_one_process_until_its_lease_ends(made: World, stored_offer: str) -> None:
    """A process whose lease was lost changes nothing."""
    first = work.claim(made.engine, 60)
    assert first is not None
    assert work.claim(made.engine, 60) is None
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(lease_until=now(-1)))
    second = work.claim(made.engine, 60)
    assert second is not None
    assert (work.renew(made.engine, first, 60), work.renew(made.engine, second, 60)) == (False, True)

    with pytest.raises(WrongState, match="has changed"), writing(made.engine) as connection:
        transition(connection, first, ReceivedState.REFUSED, actor=work.ACTOR)
    assert state(made, stored_offer) == "offered"


def test_from_the_offer_to_the_receipt(made: World, stored_offer: str) -> None:
    """The difference is stored until the decision; the import has a message, and one receipt is due."""
    settings = made.place.settings
    comparison = compared(made, stored_offer)
    fields = {"name": {"theirs": "Ann", "ours": None}}
    records = [{"dataset": f"a/{n % 2}", "what": "new", "id": str(n), "fields": fields} for n in range(60)]
    with writing(made.engine) as connection:
        differences.store(connection, settings.keys, stored_offer, records)
    with reading(made.engine) as connection:
        shown, following = differences.page(connection, settings.keys, stored_offer)
        rest, last = differences.page(connection, settings.keys, stored_offer, after=following or 0)
        assert differences.datasets(connection, stored_offer) == {"a/0": 30, "a/1": 30}
    assert ([record["id"] for record in (*shown, *rest)], last) == ([str(n) for n in range(60)], None)

    with writing(made.engine) as connection:
        decisions.accept(connection, stored_offer, comparison=comparison, actor=OFFICER)
    step(made, ReceivedState.IMPORTED, import_id="a" * 16)

    with reading(made.engine) as connection:
        assert connection.scalars(select(models.received_difference.c.number)).all() == []
        message = models.notification.c
        assert connection.scalars(select(message.kind).where(message.occasion == stored_offer)).all() == [
            MessageKind.RECEIVED_FOR_YOU
        ]
    row = work.claim(made.engine, 60)
    assert row is not None
    work.postpone(made.engine, row, "outside_unavailable", 0)
    row = work.claim(made.engine, 60)
    assert row is not None
    assert row["error_code"] == "outside_unavailable"
    work.settle_receipt(made.engine, row, ReceiptState.SENT)
    assert work.claim(made.engine, 60) is None
    with reading(made.engine) as connection:
        # The list of received transfers shows it as the fault that a person has to mend.
        stored = received.get(connection, stored_offer)
    assert (stored["receipt"], stored["error_code"]) == (ReceiptState.SENT, None)


def test_what_is_not_decided_in_time_ends(made: World, stored_offer: str) -> None:
    """With a receipt that refuses it; an offer that was not fetched ends without."""
    compared(made, stored_offer)
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(fetched_at=now(-15 * 86_400)))
        assert work.expire(connection, 14) == 1
        assert stored_offer not in work.quarantined(connection)

    assert state(made, stored_offer) == "expired"
    row = work.claim(made.engine, 60)
    assert row is not None
    assert row["receipt"] == ReceiptState.QUEUED


def test_an_erasure_forgets_a_received_transfer(made: World, stored_offer: str) -> None:
    """With its difference and its messages; that of another subject stays."""
    compared(made, stored_offer)
    with writing(made.engine) as connection:
        differences.store(
            connection,
            made.place.settings.keys,
            stored_offer,
            [{"dataset": "a", "what": "new", "id": "1", "fields": {}}],
        )
        received.forget_subject(connection, "user", "usr_2", None)
        assert received.of_subject(connection, "user", "usr_1") == [stored_offer]
        received.forget_subject(connection, "user", "usr_1", None)
        assert received.page(connection) == ([], None)
