"""A person hears of what happens to their data: links, downloads, recalls, new addresses, consents, transfers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desks import SameContact, mailing, reported
from factories import World
from postbox import Postbox, bodies
from sqlalchemy import func, select, update
from transferring import OWNER, Provider, authorised, encrypted, ready, sending_world, started

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import downloads, links
from portability.requests import acceptance, intake
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.retention import erasures, recalls
from portability.retention.erasures import Whom
from portability.transfers import authorisations, recipient_removal
from worker.clock import erasure, message_delivery

TABLE = models.notification


def days_from_now(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url, approvals="policy")


def link(made: World, export_id: str, **more: Any) -> links.Link:
    with writing(made.engine) as connection:
        given = {"ttl_seconds": 600, "actor": "operator:test", **more}
        return links.issue(connection, made.place.settings.keys, export_id, **given)


def downloaded(made: World, token: str, device: str) -> None:
    with writing(made.engine) as connection:
        found = links.resolve(connection, made.place.settings.keys, token)
        downloads.report(connection, found["export_id"], found["revision"], device)


def recall(made: World, export_id: str, reason: str = "wrong address") -> None:
    with writing(made.engine) as connection:
        recalls.recall(connection, export_id, reason=reason, actor="operator:test")


def sent_to(made: World, box: Postbox, kind: str, directory: SameContact) -> tuple[list[str], list[Any]]:
    """Send everything; returns where mail of a kind went, and how it ended."""
    message_delivery.deliver(mailing(made, box, directory))
    with reading(made.engine) as connection:
        rows = connection.execute(select(TABLE.c.id, TABLE.c.state, TABLE.c.reason).where(TABLE.c.kind == kind)).all()
    ids = {f"<{row.id}@vlint.example>" for row in rows}
    places = [to for to, message in zip(box.recipients, box.taken, strict=True) if message["Message-ID"] in ids]
    return places, [(row.state, row.reason) for row in rows]


def test_each_link_is_reported(made: World) -> None:
    """But not one that another message brings."""
    export_id = ready(made)
    link(made, export_id)
    link(made, export_id)
    link(made, export_id, is_reported=False)
    assert reported(made, export_id) == ["acknowledged", "ready", "link_made", "link_made"]


def test_downloads_are_reported_once_for_each_device_and_day(made: World, box: Postbox) -> None:
    """With the device; a copy of fifty volumes makes one message."""
    export_id = ready(made)
    token = link(made, export_id, is_reported=False).token
    for device in ("Firefox · Linux", "Firefox · Linux", "", "Firefox · Linux"):
        downloaded(made, token, device)
    assert reported(made, export_id)[2:] == ["downloaded", "downloaded"]
    message_delivery.deliver(mailing(made, box, SameContact()))
    texts = [" ".join(bodies(message)[0].split()) for message in box.taken[2:]]
    assert sorted("with Firefox · Linux." in text for text in texts) == [False, True]
    assert sorted("with an unknown device." in text for text in texts) == [False, True]


@pytest.mark.parametrize(
    ("change", "is_reported"),
    [
        (lambda: days_from_now(-1), True),
        (lambda: datetime(2020, 1, 1, tzinfo=UTC), False),
        (lambda: None, False),
        (lambda: intake.UNKNOWN_CHANGE, False),  # the source did not answer: a message would state what is not known
    ],
)
def test_a_request_after_a_change_of_address_is_reported(
    made: World, change: Callable[[], datetime | None], *, is_reported: bool
) -> None:
    """A person who has taken over an account changes its address first."""
    request = acceptance.check(profile="access", subject="user:usr_1")
    with writing(made.engine) as connection:
        given: dict[str, Any] = {"actor": OWNER, "auth": PRESENT, "contact_changed_at": change()}
        export_id, _ = intake.take(connection, made.place.settings, request, **given)
    assert ("address_changed" in reported(made, export_id)) == is_reported


def test_the_report_of_a_change_goes_to_the_address_before(made: World, box: Postbox) -> None:
    """As far as the directory knows it; its owner may have lost the account."""
    request = acceptance.check(profile="access", subject="user:usr_1")
    with writing(made.engine) as connection:
        given: dict[str, Any] = {"actor": OWNER, "auth": PRESENT, "contact_changed_at": days_from_now(-1)}
        intake.take(connection, made.place.settings, request, **given)
    directory = SameContact("new@mail.example", previous="old@mail.example", changed_at=days_from_now(-1))
    assert sent_to(made, box, "address_changed", directory) == (["old@mail.example"], [("sent", None)])
    assert box.recipients.count("new@mail.example") == 1  # the acknowledgement


@pytest.mark.parametrize(
    ("days", "contact", "where", "ends"),
    [
        (-1, {}, ["new@mail.example"], ("sent", None)),
        (-1, {"previous": "old@mail.example"}, ["new@mail.example"], ("sent", None)),
        (1, {}, [], ("page", "no_address")),
        (1, {"previous": "old@mail.example"}, ["old@mail.example"], ("sent", None)),
    ],
)
def test_a_recall_is_not_reported_to_a_new_address(
    made: World, box: Postbox, days: int, contact: dict[str, Any], where: list[str], ends: tuple[str, str | None]
) -> None:
    """If it has changed since the request, the archive may have gone there by mistake."""
    export_id = ready(made)
    recall(made, export_id)
    assert reported(made, export_id)[-1] == "recalled"
    directory = SameContact("new@mail.example", changed_at=days_from_now(days), **contact)
    assert sent_to(made, box, "recalled", directory) == (where, [ends])


def test_a_recall_after_the_end_is_reported(made: World) -> None:
    """What was downloaded cannot be recalled; all the more the person hears of it, once for each reason."""
    export_id = ready(made)
    for reason in ("wrong address", "a stranger has it", "a stranger has it"):
        recall(made, export_id, reason)
    assert reported(made, export_id) == ["acknowledged", "ready", "recalled", "recalled"]


def test_consents_and_transfers_are_reported(made: World, box: Postbox, other: Provider) -> None:
    """Given, sent, revoked: each names the provider and nothing of the person."""
    other.recorded(made)
    export_id = ready(made)
    given = authorised(made, other.recipient)
    started(made, export_id, other.recipient)
    encrypted(made)
    message_delivery.deliver(mailing(made, box, SameContact()))
    with writing(made.engine) as connection:
        authorisations.revoke(connection, given, actor="officer:olga")
    assert reported(made, export_id, given)[2:] == ["consent_given", "transferred", "consent_revoked"]
    message_delivery.deliver(mailing(made, box, SameContact()))
    assert len(box.taken) == 5
    for message in box.taken[2:]:
        assert all("Other Care (localhost)" in " ".join(body.split()) for body in bodies(message))
        assert not any("usr_1" in body for body in bodies(message))


def test_a_recipient_that_was_removed_stops_no_mail(made: World, box: Postbox, other: Provider) -> None:
    """People hear by its name that their consent has ended, and later messages are sent."""
    other.recorded(made)
    authorised(made, other.recipient)
    with writing(made.engine) as connection:
        recipient_removal.remove(connection, other.recipient, actor="operator:test")
    ready(made)
    message_delivery.deliver(mailing(made, box, SameContact()))
    assert len(box.taken) == 3  # with the end of the consent, and not that it was given
    assert "Other Care (localhost)" in " ".join(bodies(box.taken[0])[0].split())


def test_what_another_person_recorded_is_to_be_confirmed(made: World, box: Postbox, other: Provider) -> None:
    """The notice leads to the page where it is confirmed; the confirmation is reported too."""
    other.recorded(made)
    given = authorised(made, other.recipient, actor=Actor("officer", "olga"), evidence="T-1")
    message_delivery.deliver(mailing(made, box, SameContact()))
    assert "Please confirm" in str(box.taken[0]["Subject"])
    assert "http://localhost:8000/me" in bodies(box.taken[0])[0]
    with writing(made.engine) as connection:
        authorisations.confirm(connection, given, actor=OWNER)
        authorisations.confirm(connection, given, actor=OWNER)
    assert reported(made, "", given) == ["consent_asked", "consent_given"]


@pytest.mark.parametrize("is_own", [True, False])
def test_no_one_is_asked_to_confirm_what_is_decided(
    made: World, box: Postbox, other: Provider, *, is_own: bool
) -> None:
    """The mail waited while the server was down: meanwhile the person confirmed the consent, or it was withdrawn."""
    other.recorded(made)
    given = authorised(made, other.recipient, actor=Actor("officer", "olga"), evidence="T-1")
    with writing(made.engine) as connection:
        if is_own:
            authorisations.confirm(connection, given, actor=OWNER)
        else:
            authorisations.revoke(connection, given, actor="officer:olga")
    assert sent_to(made, box, "consent_asked", SameContact()) == ([], [("page", "outdated")])
    assert len(box.taken) == 1


@pytest.mark.parametrize("change", ["revoked", "expired"])
def test_a_consent_that_has_ended_is_not_reported_as_given(
    made: World, box: Postbox, other: Provider, change: str
) -> None:
    """The mail waited while the server was down: no data may be sent under it any more."""
    other.recorded(made)
    given = authorised(made, other.recipient)
    with writing(made.engine) as connection:
        if change == "revoked":
            authorisations.revoke(connection, given, actor=str(OWNER))
        else:
            connection.execute(update(models.authorisation).values(expires_at=now(-1)))
    assert sent_to(made, box, "consent_given", SameContact()) == ([], [("page", "outdated")])


@pytest.mark.parametrize("change", ["", "revoked", "over"])
def test_a_transfer_is_reported_while_the_provider_can_fetch_it(
    made: World, box: Postbox, other: Provider, change: str
) -> None:
    """Not after the person has withdrawn the consent, nor after the end of its time."""
    given = authorised(made, other.recorded(made))
    transfer_id = started(made, ready(made), other.recipient)
    encrypted(made)
    with writing(made.engine) as connection:
        if change == "revoked":
            authorisations.revoke(connection, given, actor=str(OWNER))
        elif change == "over":
            connection.execute(
                update(models.transfer).where(models.transfer.c.id == transfer_id).values(expires_at=now(-1))
            )
    places, states = sent_to(made, box, "transferred", SameContact())
    assert (len(places), states) == ((0, [("page", "outdated")]) if change else (1, [("sent", None)]))


def test_an_erasure_takes_messages_about_consents_along(made: World, other: Provider) -> None:
    """They go with the authorisation; those of other people stay."""
    other.recorded(made)
    authorised(made, other.recipient)
    kept = authorised(made, other.recipient, subject="user:usr_2", actor=Actor("subject", "usr_2"))
    with writing(made.engine) as connection:
        erasures.begin(connection, Whom("user", "usr_1", None), reason="asked", actor="operator:test")
    while erasure.advance(made.engine, lambda: made.place.storage):
        pass
    with reading(made.engine) as connection:
        assert connection.scalars(select(TABLE.c.occasion)).all() == [kept]
        assert connection.scalar(select(func.count()).select_from(models.authorisation)) == 1
