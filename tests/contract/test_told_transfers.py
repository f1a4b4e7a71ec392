"""A person hears once of a transfer that was not completed, unless it was their own act or another message says so."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feeding
import pytest
from desks import SameContact, mailing
from factories import World
from postbox import Postbox, bodies
from sqlalchemy import Column, Connection, select, update
from transferring import OWNER, TEST, Provider, authorised, encrypted, ready, sending_world, started, view

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.requests import approvals, exports, transfer_ends
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.retention import erasures, recalls
from portability.retention.erasures import Whom
from portability.transfers import authorisations, receipts, recipient_removal, sending
from portability.transfers.receipts import Receipt, Status
from worker.clock import message_delivery

TRANSFER, EXPORT, MESSAGE = models.transfer, models.export, models.notification
OFFICER = Actor("officer", "olga")
Change = Callable[[Connection, World, str], object]


@pytest.fixture
def made(tmp_path: Path) -> World:
    return sending_world(tmp_path)


def transferring_to(made: World, other: Provider, *, is_offered: bool = True, country: str = "DE") -> str:
    """A transfer of an archive of its own."""
    recipient = other.recipient or other.recorded(made, country=country)
    authorised(made, recipient)
    transfer_id = started(made, ready(made), recipient)
    if is_offered:
        encrypted(made)
    return transfer_id


def told(made: World) -> list[str]:
    """The transfers that a message says were not completed."""
    with reading(made.engine) as connection:
        query = select(MESSAGE.c.occasion).where(MESSAGE.c.kind == "not_transferred")
        return list(connection.scalars(query.order_by(MESSAGE.c.created_at)))


def end_of(made: World, transfer_id: str) -> str | None:
    with reading(made.engine) as connection:
        return transfer_ends.of(connection, sending.get(connection, transfer_id))


def changed(made: World, transfer_id: str, change: Change) -> None:
    with writing(made.engine) as connection:
        change(connection, made, transfer_id)


def export_of(connection: Connection, transfer_id: str) -> str:
    return str(sending.get(connection, transfer_id)["export_id"])


def expire(connection: Connection, _made: World, transfer_id: str) -> None:
    connection.execute(update(TRANSFER).where(TRANSFER.c.id == transfer_id).values(expires_at=now(-1)))
    sending.expire(connection, transfer_id, actor="clock")


def refuse(connection: Connection, _made: World, transfer_id: str) -> None:
    receipts.record(connection, transfer_id, Receipt(secrets.token_hex(8), Status.REFUSED, "changed", 0, "x.y.z"))


def receive(connection: Connection, _made: World, transfer_id: str) -> None:
    receipts.record(connection, transfer_id, Receipt(secrets.token_hex(8), Status.RECEIVED, None, 1, "x.y.z"))


def expire_archive(connection: Connection, _made: World, transfer_id: str) -> None:
    row = exports.lock(connection, export_of(connection, transfer_id))
    transition(connection, row, ExportState.EXPIRED, actor="clock")


def download(connection: Connection, _made: World, transfer_id: str) -> None:
    link = connection.scalar(select(models.link.c.id).where(models.link.c.transfer_id == transfer_id))
    claim = {"link_id": link, "volume": 1, "claim_sha256": secrets.token_hex(32), "created_at": now()}
    connection.execute(models.link_claim.insert().values(**claim, expires_at=now(), downloaded_at=now()))


def remove_recipient(connection: Connection, _made: World, transfer_id: str) -> None:
    recipient_removal.remove(connection, sending.get(connection, transfer_id)["recipient_id"], actor=TEST)


def stop(actor: str) -> Change:
    return lambda connection, _made, transfer_id: sending.revoke(connection, transfer_id, actor=actor)


def withdraw(connection: Connection, _made: World, transfer_id: str) -> None:
    consent = sending.get(connection, transfer_id)["authorisation_id"]
    authorisations.revoke(connection, consent, actor=str(OWNER))


def recall(connection: Connection, _made: World, transfer_id: str) -> None:
    recalls.recall(connection, export_of(connection, transfer_id), reason="wrong person", actor=TEST)


def erase(connection: Connection, _made: World, _transfer_id: str) -> None:
    erasures.begin(connection, Whom("user", "usr_1", None), reason="ticket 7", actor=TEST, ground="subject")


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ([expire], "expired"),
        ([expire_archive], "expired"),
        ([download, expire], "unconfirmed"),
        ([refuse], "refused"),
        ([refuse, expire], "refused_finally"),
        ([refuse, refuse, expire_archive], "refused_finally"),
        ([remove_recipient], "revoked"),
        ([stop("officer:olga")], "revoked"),
        ([stop("tenant_admin:usr_9")], "revoked"),
    ],
)
def test_a_person_hears_once_how_a_transfer_ended(
    made: World, other: Provider, changes: list[Change], end: str
) -> None:
    """The clock may run again: it adds no message."""
    transfer_id = transferring_to(made, other)
    changed(made, transferring_to(made, other), receive)
    for change in changes:
        changed(made, transfer_id, change)
    changed(made, transfer_id, lambda connection, *_others: sending.expire(connection, transfer_id, actor="clock"))
    assert (told(made), end_of(made, transfer_id)) == ([transfer_id], end)


@pytest.mark.parametrize("change", [stop(str(OWNER)), withdraw, recall, erase])
def test_no_second_message_about_what_the_person_did_or_hears_otherwise(
    made: World, other: Provider, change: Change
) -> None:
    """Consents and recalls have their own messages; after an erasure there is no person to inform."""
    transfer_id = transferring_to(made, other)
    changed(made, transfer_id, change)
    assert (told(made), view(made, transfer_id)["state"]) == ([], "revoked")


def test_a_transfer_that_was_never_offered(made: World, other: Provider) -> None:
    """Its archive went first."""
    transfer_id = transferring_to(made, other, is_offered=False)
    changed(made, transfer_id, expire_archive)
    assert (told(made), end_of(made, transfer_id)) == ([transfer_id], "unsent")


@pytest.mark.parametrize("is_offered", [False, True])
@pytest.mark.parametrize(("state", "end"), [("failed", "failed"), ("cancelled", "revoked")])
def test_a_transfer_ends_with_its_archive(
    made: World, other: Provider, state: str, end: str, *, is_offered: bool
) -> None:
    """Nothing is left to send: it waited for ever. Who cancels a request gets no message about it."""
    transfer_id = transferring_to(made, other, is_offered=is_offered)
    with writing(made.engine) as connection:
        row = exports.lock(connection, export_of(connection, transfer_id))
        if state == "cancelled":
            row = transition(connection, row, ExportState.RUNNING, actor=TEST)
        transition(connection, row, ExportState(state), actor=TEST)
    seen = view(made, transfer_id)
    assert (end_of(made, transfer_id), seen["end"]) == (end, end)
    assert {"expired", end} & {step["what"] for step in seen["timeline"]} == {end}
    assert told(made) == ([] if state == "cancelled" else [transfer_id])


@pytest.mark.parametrize("is_offered", [False, True])
@pytest.mark.parametrize(
    "then", [["queued"], ["cancelled"], ["queued", "running", "ready"], ["queued", "running", "ready", "expired"]]
)
def test_a_fault_stays_a_fault_whatever_becomes_of_the_export(
    made: World, other: Provider, then: list[str], *, is_offered: bool
) -> None:
    """A retry may make another archive, which has its own end."""
    transfer_id = transferring_to(made, other, is_offered=is_offered)
    for state in ["failed", *then]:
        assert transition_of(made, transfer_id, state) == "failed", state


@pytest.mark.parametrize(("ending", "end"), [(expire, "expired"), (expire_archive, "expired")])
def test_a_fault_of_later_is_not_the_reason(made: World, other: Provider, ending: Change, end: str) -> None:
    """The offer was over by then."""
    transfer_id = transferring_to(made, other)
    changed(made, transfer_id, ending)
    if ending is expire:
        assert transition_of(made, transfer_id, "failed") == end
    assert end_of(made, transfer_id) == end


def transition_of(made: World, transfer_id: str, state: str) -> str | None:
    """Move its export to a state; returns how the transfer ended then."""
    with writing(made.engine) as connection:
        row = exports.lock(connection, export_of(connection, transfer_id))
        transition(connection, row, ExportState(state), actor=TEST)
    return end_of(made, transfer_id)


def test_a_transfer_that_a_colleague_refused(made: World, other: Provider) -> None:
    """The page has the reason of the newest: the message leads there."""
    transfer_id = transferring_to(made, other, country="SG")
    with reading(made.engine) as connection:
        export_id = export_of(connection, transfer_id)
    deny(made, export_id, "no safeguard there")
    assert (told(made), end_of(made, transfer_id)) == ([transfer_id], "denied")
    authorised(made, other.recipient)
    again = started(made, export_id, other.recipient)
    deny(made, export_id, "still none")
    with reading(made.engine) as connection:
        denial = approvals.denial(connection, export_id)
    assert denial
    assert (denial["reason"], told(made)[-1]) == ("still none", again)


def deny(made: World, export_id: str, reason: str) -> None:
    with writing(made.engine) as connection:
        approvals.deny(connection, export_id, reason=reason, actor=OFFICER)


@pytest.mark.parametrize(
    ("column", "end"), [(models.authorisation.c.expires_at, "unauthorised"), (models.recipient.c.removed_at, "failed")]
)
def test_a_transfer_that_failed_for_ever(made: World, other: Provider, column: Column[Any], end: str) -> None:
    """Not before: a worker tries again."""
    transfer_id = transferring_to(made, other, is_offered=False)
    with writing(made.engine) as connection:
        connection.execute(update(column.table).values({column: now(-1)}))
    encrypted(made)
    assert (view(made, transfer_id)["state"], told(made), end_of(made, transfer_id)) == ("failed", [transfer_id], end)


def test_two_transfers_of_one_archive_have_a_message_each(made: World, other: Provider) -> None:
    first = transferring_to(made, other)
    changed(made, first, expire)
    authorised(made, other.recipient)
    with reading(made.engine) as connection:
        export_id = export_of(connection, first)
    second = started(made, export_id, other.recipient)
    encrypted(made)
    assert told(made) == [first]
    changed(made, second, expire)
    assert told(made) == [first, second]


@pytest.mark.parametrize("is_over", [False, True])
def test_the_clock_sends_an_archive_of_a_feed_again(made: World, other: Provider, *, is_over: bool) -> None:
    """Or it ends the feed, which has its own message; what a person decided, nothing undoes."""
    consent = authorised(made, other.recorded(made), until=datetime.now(UTC) + timedelta(days=300))
    feed = feeding.begin(made, profile="portability")
    with writing(made.engine) as connection:
        connection.execute(update(models.feed).values(authorisation_id=consent))
    export_id = feed.request()
    feed.next(export_id)
    if is_over:
        with writing(made.engine) as connection:
            connection.execute(update(models.feed).values(ended_at=now()))
    first = started(made, export_id, other.recipient)
    encrypted(made)
    changed(made, first, expire)
    assert told(made) == ([first] if is_over else [])
    second = started(made, export_id, other.recipient)
    changed(made, second, stop("officer:olga"))
    assert told(made)[-1] == second


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_provider_that_fetched_all_of_its_copy_need_not_sign(made: World, other: Provider, *, is_whole: bool) -> None:
    """It may fetch each day; of a copy that it did not fetch the person hears."""
    transfer_id = transferring_to(made, other)
    with writing(made.engine) as connection:
        row = sending.get(connection, transfer_id)
        pull = {"id": "pul_1", "authorisation_id": row["authorisation_id"], "export_id": row["export_id"]}
        connection.execute(models.pull.insert().values(**pull, transfer_id=transfer_id, created_at=now()))
    for change in (download, expire) if is_whole else (expire,):
        changed(made, transfer_id, change)
    assert told(made) == ([] if is_whole else [transfer_id])


def test_the_letter_says_what_happened_and_what_to_do(made: World, other: Provider, box: Postbox) -> None:
    transfer_id = transferring_to(made, other)
    changed(made, transfer_id, expire)
    message_delivery.deliver(mailing(made, box, SameContact()))
    *_, last = box.taken
    for body in bodies(last):
        said = " ".join(body.split())
        assert "Other Care (localhost)" in said
        assert "did not download all of your data in time" in said
        assert "usr_1" not in said


def test_a_receipt_that_came_first_makes_the_letter_outdated(made: World, other: Provider, box: Postbox) -> None:
    """The recipient's signature counts more than our clock."""
    transfer_id = transferring_to(made, other)
    for change in (expire, receive):
        changed(made, transfer_id, change)
    message_delivery.deliver(mailing(made, box, SameContact()))
    with reading(made.engine) as connection:
        row = connection.execute(select(MESSAGE).where(MESSAGE.c.kind == "not_transferred")).mappings().one()
    assert (row["state"], row["reason"], len(box.taken)) == ("page", "outdated", 4)
