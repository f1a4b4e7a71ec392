"""An archive of a feed that its recipient did not get is sent again, before those after it, or the feed ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feeding
import pytest
from desks import SameContact, mailing
from factories import World
from postbox import Postbox, bodies
from sqlalchemy import Connection, RowMapping, Table, select, update
from transferring import Provider, authorised, encrypted, sending_world

from cli import feeds_check
from cli.checks import Seen
from cli.context import Context
from portability import locale
from portability.database import incidents, models
from portability.database.engine import now, reading, writing
from portability.feeds import feeds, undelivered
from portability.locale import values
from portability.requests.policy import Actor
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.transfers import sending
from portability.trust import audit
from worker.clock import expiry, message_delivery
from worker.clock import feeds as clock

EXPORT, TRANSFER, ARCHIVE = models.export, models.transfer, models.feed_archive


@dataclass
class ServedFeed:
    """A feed that the clock sends to a provider."""

    made: World
    feed: feeding.Feed
    consent: str
    recipient: str

    def archive(self) -> str:
        """Make the next archive; returns its export's id."""
        identifier = self.feed.request()
        self.feed.next(identifier)
        return identifier

    def send(self) -> int:
        """Send as a round of the clock does."""
        undelivered.settle(self.made.engine)
        return clock.send_ready(self.made.engine, self.made.place.settings)

    def give_up(self) -> int:
        return clock.give_up(self.made.engine)

    def transfers(self, export_id: str) -> Sequence[RowMapping]:
        with reading(self.made.engine) as connection:
            return sending.of(connection, export_id)

    def set_last(self, export_id: str, state: str, seconds_ago: float = 0) -> None:
        """Let the newest transfer of an archive have ended like this, and the others not later."""
        all_of_it, last = update(TRANSFER).where(TRANSFER.c.export_id == export_id), self.transfers(export_id)[-1]["id"]
        with writing(self.made.engine) as connection:
            connection.execute(all_of_it.values(ended_at=now(-seconds_ago)))
            connection.execute(all_of_it.where(TRANSFER.c.id == last).values(state=state))

    def unsettled(self) -> Sequence[int]:
        with reading(self.made.engine) as connection:
            numbers = select(ARCHIVE.c.number).where(~ARCHIVE.c.settled).order_by(ARCHIVE.c.number)
            return connection.scalars(numbers).all()

    def set_export(self, export_id: str, state: str) -> None:
        with writing(self.made.engine) as connection:
            connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(state=state))

    def shown(self) -> dict[str, Any]:
        with reading(self.made.engine) as connection:
            return feeds.view(connection, feeds.get(connection, self.feed.id))

    def messages(self) -> list[str]:
        with reading(self.made.engine) as connection:
            query = select(models.notification.c.kind).order_by(models.notification.c.created_at)
            return [kind for kind in connection.scalars(query) if kind == "feed_stopped"]

    def ends(self) -> list[dict[str, Any]]:
        with reading(self.made.engine) as connection:
            query = select(audit.LOG.c.detail).where(audit.LOG.c.action == "feed.ended")
            return [dict(detail) for detail in connection.scalars(query)]


def copy_row(connection: Connection, table: Table, identifier: str, **changes: str) -> None:
    row = connection.execute(select(table).where(table.c.id == identifier)).mappings().one()
    connection.execute(table.insert().values({**row, **changes}))


@pytest.fixture
def served_feed(control_url: str, tmp_path: Path, other: Provider) -> ServedFeed:
    made = sending_world(tmp_path, database_url=control_url)
    recipient = other.recorded(made)
    consent = authorised(made, recipient, until=datetime.now(UTC) + timedelta(days=300))
    feed = feeding.begin(made, profile="portability")
    with writing(made.engine) as connection:
        connection.execute(update(models.feed).values(authorisation_id=consent))
    return ServedFeed(made, feed, consent, recipient)


@pytest.mark.parametrize("end", ["failed", "expired"])
def test_what_the_recipient_did_not_get_is_sent_again_before_what_follows(served_feed: ServedFeed, end: str) -> None:
    """The later archive has only what has changed since."""
    first = served_feed.archive()
    assert served_feed.send() == 1
    served_feed.set_last(first, end)
    second = served_feed.archive()
    assert (served_feed.send(), served_feed.shown()["undelivered"]) == (0, first)
    served_feed.set_last(first, end, seconds_ago=2 * undelivered.FIRST_WAIT_SECONDS)
    assert [served_feed.send() for _ in range(3)] == [1, 1, 0]
    states = [[row["state"] for row in served_feed.transfers(export)] for export in (first, second)]
    assert states == [[end, "queued"], ["queued"]]
    assert (served_feed.give_up(), served_feed.messages(), served_feed.shown()["undelivered"]) == (0, [], None)


def test_the_clock_looks_no_more_at_what_has_arrived(served_feed: ServedFeed) -> None:
    """An archive that is on its way may still fail; with the end of the feed nothing else is sent."""
    first, _second = served_feed.archive(), served_feed.archive()
    assert served_feed.send() == 1
    assert (undelivered.settle(served_feed.made.engine), served_feed.unsettled()) == (0, [1, 2])
    served_feed.set_last(first, "delivered")
    assert (undelivered.settle(served_feed.made.engine), served_feed.unsettled()) == (1, [2])
    with writing(served_feed.made.engine) as connection:
        feeds.end(connection, served_feed.feed.id, actor="operator")
    assert (undelivered.settle(served_feed.made.engine), served_feed.unsettled()) == (1, [])


def test_what_a_feed_without_consent_has_made_is_not_sent(served_feed: ServedFeed) -> None:
    served_feed.archive()
    with writing(served_feed.made.engine) as connection:
        connection.execute(update(models.feed).values(authorisation_id=None))
    assert (undelivered.settle(served_feed.made.engine), served_feed.unsettled()) == (1, [])


@pytest.mark.parametrize("pages", [1, 3])
def test_a_long_history_of_archives_is_marked_in_pages(
    served_feed: ServedFeed, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the upgrade none of them has a mark."""
    for _ in range(3):
        served_feed.archive()
    with writing(served_feed.made.engine) as connection:
        feeds.end(connection, served_feed.feed.id, actor="operator")
    monkeypatch.setattr(undelivered, "PAGE", 3 // pages)
    assert (undelivered.settle(served_feed.made.engine), served_feed.unsettled()) == (3, [])


def test_what_another_provider_has_is_not_what_the_recipient_has(served_feed: ServedFeed) -> None:
    """A person may give one archive of a feed to a second provider, too: the feed's recipient still lacks it."""
    first = served_feed.archive()
    assert served_feed.send() == 1
    (sent,) = served_feed.transfers(first)
    with writing(served_feed.made.engine) as connection:
        copy_row(connection, models.recipient, served_feed.recipient, id="rcp_second", domain="second.example")
        copy_row(connection, models.authorisation, served_feed.consent, id="aut_second", recipient_id="rcp_second")
        second = {"recipient_id": "rcp_second", "authorisation_id": "aut_second", "state": "delivered"}
        copy_row(connection, TRANSFER, sent["id"], id="trf_second", **second)
        connection.execute(update(TRANSFER).where(TRANSFER.c.id == sent["id"]).values(state="failed", ended_at=now()))
    served_feed.archive()
    assert (served_feed.send(), served_feed.shown()["undelivered"]) == (0, first)


def test_waits_double_up_to_a_day(served_feed: ServedFeed) -> None:
    waits = [undelivered.wait_seconds(tries) for tries in range(1, undelivered.TRIES_MAX)]
    assert waits == [3600, 7200, 14400, 28800, 57600, 86400, 86400]
    first = served_feed.archive()
    assert served_feed.send() == 1
    served_feed.set_last(first, "failed", seconds_ago=waits[0] + 60)
    assert served_feed.send() == 1
    served_feed.set_last(first, "failed", seconds_ago=waits[0] + 60)
    assert served_feed.send() == 0
    served_feed.set_last(first, "failed", seconds_ago=waits[1] + 60)
    assert served_feed.send() == 1


def test_a_feed_ends_that_cannot_be_delivered(served_feed: ServedFeed) -> None:
    """The person hears of it once, the operator by a count; the consent stays, for a new feed with everything."""
    first = served_feed.archive()
    for _ in range(undelivered.TRIES_MAX):
        assert (served_feed.send(), served_feed.give_up()) == (1, 0)
        served_feed.set_last(first, "failed", seconds_ago=2 * undelivered.LONGEST_WAIT_SECONDS)
    served_feed.archive()
    assert (served_feed.send(), served_feed.give_up(), served_feed.give_up()) == (0, 1, 0)
    assert served_feed.shown()["ended_at"]
    assert served_feed.ends() == [{"feed": served_feed.feed.id, "reason": "undelivered"}]
    assert served_feed.messages() == ["feed_stopped"]
    assert {row["kind"]: row["count"] for row in incidents.counted(served_feed.made.engine)}["transfer_failed"] == 1
    with reading(served_feed.made.engine) as connection:
        assert not connection.scalar(select(models.authorisation.c.revoked_at))


def test_the_message_names_the_provider(served_feed: ServedFeed, box: Postbox) -> None:
    first = served_feed.archive()
    served_feed.set_export(first, "expired")
    assert served_feed.give_up() == 1
    message_delivery.deliver(mailing(served_feed.made, box, SameContact()))
    *_, last = box.taken
    for body in bodies(last):
        assert "Other Care (localhost)" in " ".join(body.split())
        assert "usr_1" not in body


@pytest.mark.parametrize("state", ["expired", "recalled"])
@pytest.mark.parametrize("was_sent", [False, True])
def test_a_feed_ends_whose_archive_is_gone_before_it_was_delivered(
    served_feed: ServedFeed, state: str, *, was_sent: bool
) -> None:
    """Nothing after it is sent: the recipient would lack it."""
    first = served_feed.archive()
    if was_sent:
        assert served_feed.send() == 1
        served_feed.set_last(first, "expired")
    served_feed.set_export(first, state)
    second = served_feed.archive()
    assert (served_feed.send(), served_feed.transfers(second)) == (0, [])
    assert (served_feed.give_up(), served_feed.messages()) == (1, ["feed_stopped"])


def test_an_archive_that_was_delivered_may_be_gone(served_feed: ServedFeed) -> None:
    """Also by a receipt after the end, or by a second transfer."""
    first = served_feed.archive()
    assert served_feed.send() == 1
    served_feed.set_last(first, "expired", seconds_ago=2 * undelivered.FIRST_WAIT_SECONDS)
    assert served_feed.send() == 1
    served_feed.set_last(first, "delivered")
    served_feed.set_export(first, "expired")
    second = served_feed.archive()
    assert (served_feed.send(), served_feed.give_up(), len(served_feed.transfers(second))) == (1, 0, 1)


@pytest.mark.parametrize("code", [None, "wrong_key"])
@pytest.mark.parametrize("volumes", [1, 0])
def test_what_was_downloaded_and_not_refused_has_arrived(
    served_feed: ServedFeed, volumes: int, code: str | None
) -> None:
    """An officer of the recipient may decide after the end of the offer; then its receipt follows."""
    first = served_feed.archive()
    assert served_feed.send() == 1
    encrypted(served_feed.made)
    for row in served_feed.transfers(first)[:volumes]:
        with writing(served_feed.made.engine) as connection:
            link = connection.scalar(select(models.link.c.id).where(models.link.c.transfer_id == row["id"]))
            claim = {"link_id": link, "volume": 1, "claim_sha256": "0" * 64, "created_at": now(), "expires_at": now()}
            connection.execute(models.link_claim.insert().values(**claim, downloaded_at=now()))
            connection.execute(update(TRANSFER).values(error_code=code))
    served_feed.set_last(first, "expired", seconds_ago=2 * undelivered.FIRST_WAIT_SECONDS)
    has_arrived = volumes == 1 and not code
    assert served_feed.shown()["undelivered"] == (None if has_arrived else first)
    assert served_feed.send() == (0 if has_arrived else 1)
    if has_arrived:
        served_feed.set_export(first, "expired")
        second = served_feed.archive()
        assert (served_feed.send(), served_feed.give_up(), len(served_feed.transfers(second))) == (1, 0, 1)


@pytest.mark.parametrize("end", ["denied", "revoked", "refused"])
def test_what_a_person_or_the_recipient_decided_is_not_undone(served_feed: ServedFeed, end: str) -> None:
    """It is sent again only by a person; what follows waits for it."""
    first = served_feed.archive()
    assert served_feed.send() == 1
    served_feed.set_last(first, end, seconds_ago=2 * undelivered.LONGEST_WAIT_SECONDS)
    second = served_feed.archive()
    assert (served_feed.send(), served_feed.give_up(), served_feed.transfers(second)) == (0, 0, [])
    if end == "refused":
        served_feed.set_last(first, "delivered")
    else:
        with writing(served_feed.made.engine) as connection:
            settings, officer = served_feed.made.place.settings, Actor("officer", "olga")
            sending.start(connection, settings, first, served_feed.recipient, actor=officer)
    assert (served_feed.send(), len(served_feed.transfers(second))) == (1, 1)


def test_a_copy_for_another_provider_is_none_for_the_recipient(served_feed: ServedFeed) -> None:
    """It was sent there by hand."""
    first = served_feed.archive()
    assert served_feed.send() == 1
    with writing(served_feed.made.engine) as connection:
        found = connection.execute(select(models.recipient)).mappings().one()
        connection.execute(models.recipient.insert().values({**found, "id": "rcp_elsewhere", "domain": "else.example"}))
        connection.execute(update(TRANSFER).values(recipient_id="rcp_elsewhere"))
    assert (served_feed.send(), len(served_feed.transfers(first))) == (1, 2)


def test_an_archive_is_worked_on_as_before(served_feed: ServedFeed) -> None:
    """While its transfer lives, it counts as on its way."""
    first, second = served_feed.archive(), served_feed.archive()
    assert [served_feed.send() for _ in range(3)] == [1, 1, 0]
    encrypted(served_feed.made)
    assert [served_feed.transfers(export)[0]["state"] for export in (first, second)] == ["offered", "offered"]
    assert (served_feed.send(), served_feed.give_up()) == (0, 0)


def test_the_doctor_says_what_waits_for_a_decision(served_feed: ServedFeed) -> None:
    """Only a line of the log said it, until the archive was deleted and the feed ended."""
    made, approval = served_feed.made, update(models.recipient)
    served_feed.archive()
    asked = Context(lambda: made.place.settings, json=False)
    assert feeds_check.feeds(asked) == Seen()
    with writing(made.engine) as connection:
        connection.execute(approval.values(approved_at=None))
    assert served_feed.send() == 0
    seen = feeds_check.feeds(asked)
    assert seen.result == f"recipient {served_feed.recipient} is not approved yet (archives that wait: 1)"
    assert seen.hint == "`portability recipients approve ID` approves it"
    with writing(made.engine) as connection:
        connection.execute(approval.values(approved_at=now()))
    assert (served_feed.send(), feeds_check.feeds(asked)) == (1, Seen())


@pytest.mark.parametrize("state", ["failed", "expired", "queued", "delivered"])
def test_the_person_hears_of_an_archive_that_a_feed_leaves_behind(served_feed: ServedFeed, state: str) -> None:
    """While the feed went on the clock would have sent it again, so there was no message about its transfer."""
    made, first = served_feed.made, served_feed.archive()
    for _ in range(2):
        assert served_feed.send() == 1
        served_feed.set_last(first, "failed", seconds_ago=2 * undelivered.FIRST_WAIT_SECONDS)
    served_feed.set_last(first, state)
    with writing(made.engine) as connection:
        connection.execute(update(models.feed).values(until=now(-1)))
    assert clock.end_over(made.engine) == 1
    with reading(made.engine) as connection:
        told = select(models.notification.c.occasion).where(models.notification.c.kind == "not_transferred")
        about = connection.scalars(told).all()
    assert about == [served_feed.transfers(first)[-1]["id"]] * (state in {"failed", "expired"})


@pytest.mark.parametrize("state", ["offered", "refused", "delivered"])
def test_the_end_of_an_archive_says_that_its_feed_ends_with_it(
    served_feed: ServedFeed, box: Postbox, state: str
) -> None:
    """Two days before: to the person, and to the operator who asks. The letter of the offer states its end."""
    made, export_id = served_feed.made, served_feed.archive()
    served_feed.send()
    encrypted(made)
    (offered,) = served_feed.transfers(export_id)
    while message_delivery.deliver(mailing(made, box, SameContact())):
        pass
    assert f"until {values.moment('en', offered['expires_at'])} at the latest" in words_of_letter(box, "transferred")
    with writing(made.engine) as connection:
        connection.execute(update(TRANSFER).values(state=state, expires_at=now(3600)))
        connection.execute(update(EXPORT).values(ended_at=now(-6 * 86_400)))
    assert expiry.announce(made.engine, made.place.settings) == 1
    while message_delivery.deliver(mailing(made, box, SameContact())):
        pass
    is_awaited = state != "delivered"
    assert (locale.text("en", "mail.expiring.answers.awaited") in words_of_letter(box, "expiring")) == is_awaited
    seen = feeds_check.feeds(Context(lambda: made.place.settings, json=False))
    assert (seen.result == "no receipt for archives that end within two days, with their feeds: 1") == is_awaited
    assert bool(seen.hint) == is_awaited


def words_of_letter(box: Postbox, kind: str) -> str:
    """Return the text of the newest letter of a kind, on one line."""
    subject = locale.text("en", f"mail.{kind}.subject")
    (text, *_html) = [bodies(message) for message in box.taken if message["Subject"] == subject][-1]
    return " ".join(text.split())


def test_no_one_hears_of_a_feed_that_ends_by_an_erasure(served_feed: ServedFeed) -> None:
    """Its archives end as the erasure begins: no transfer has failed, and after it the person is unknown."""
    served_feed.archive()
    with writing(served_feed.made.engine) as connection:
        whom = Whom.parse(served_feed.feed.subject, None)
        erasures.begin(connection, whom, reason="ticket 7", actor="officer:olga", ground="subject")
    assert (served_feed.send(), served_feed.give_up(), served_feed.messages()) == (0, 0, [])
