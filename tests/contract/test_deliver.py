"""Mail to a real server, on both databases: at least once, never none, and nothing of a person in it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from factories import World
from faults import Killed
from postbox import TAKEN, Postbox, bodies
from simultaneous import in_threads
from sqlalchemy import Connection, Engine, RowMapping, event, select, update
from structlog.testing import capture_logs

from portability.api import Subject
from portability.api.directories import Contact
from portability.api.errors import SourceUnavailable
from portability.database import incidents, models
from portability.database.engine import now, open_engine, reading, writing
from portability.delivery import codes, links
from portability.errors import LinkInvalid
from portability.messages import outbox
from portability.messages.mail import MailUnavailable
from portability.messages.outbox import ABOUT_CONSENT, ABOUT_RECEIVED, MessageKind
from portability.requests import approvals, exports, referrals, retries
from portability.requests.policy import Actor
from portability.trust import audit
from worker.clock import envelopes, message_delivery
from worker.clock.envelopes import Desk, Envelope, Unmailed

TABLE = models.notification
ADDRESS = "canary.person@mail.example"
SENDER = "Vlint <data@vlint.example>"
NOT_HERE = (
    MessageKind.ADDRESS_CODE,
    MessageKind.TRANSFERRED,
    MessageKind.NOT_TRANSFERRED,
    MessageKind.FEED_STOPPED,
    *ABOUT_CONSENT,
    *ABOUT_RECEIVED,
)
"""Messages that name an address or a provider: the tests of codes, of reported events and of feeds have them."""


class MadeUpDirectory:
    """Every subject has the same address, or the values that a test gives."""

    def __init__(self, **values: Any) -> None:
        self.values = {"address": ADDRESS, "language": "en", "verified": True, "changed_at": None} | values
        self.asked: list[Subject] = []

    def contact(self, subject: Subject) -> Contact | None:
        self.asked.append(subject)
        return Contact(**self.values)  # type: ignore[arg-type]  # whatever a test gives


class BrokenForOne(MadeUpDirectory):
    def contact(self, subject: Subject) -> Contact | None:
        if subject.identities[0].value == "usr_canary":
            raise ValueError(f"no language for {ADDRESS}")
        return super().contact(subject)


class EmptyDirectory:
    def contact(self, _subject: Subject) -> Contact | None:
        return None


class Away:
    def contact(self, _subject: Subject) -> Contact | None:
        raise SourceUnavailable("away")


class Broken:
    def contact(self, _subject: Subject) -> Contact | None:
        raise ValueError(f"no language for {ADDRESS}")


def desk(made: World, box: Postbox, directory: Any = None, engine: Engine | None = None, **settings: Any) -> Desk:
    chosen = {"smtp_url": box.url, "mail_from": SENDER, "smtp_seconds": 5.0, "contact": "privacy@vlint.example"}
    changed = made.place.settings.model_copy(update=chosen | settings)
    return Desk(engine or made.engine, changed, directory or MadeUpDirectory())


def stored_rows(made: World) -> list[dict[str, Any]]:
    with reading(made.engine) as connection:
        query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)
        return [dict(row) for row in connection.execute(query).mappings()]


def states(made: World) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["state"], row["reason"]) for row in stored_rows(made)]


def change(made: World, **values: Any) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(**values))


def ready(made: World, subject: str = "user:usr_canary", **asked: Any) -> str:
    identifier = made.request(subject, **asked)
    made.advance_all()
    return identifier


def send_code(made: World, identifier: str) -> Mapping[Any, Any]:
    """Send a one-time code for the export, as the landing page does; returns the link that it is for."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        given: dict[str, Any] = {"ttl_seconds": 600, "actor": "operator:test", "is_reported": False}
        issued = links.issue(connection, folder, identifier, audience="code", **given)
        link = links.resolve(connection, folder, issued.token)
        codes.send(connection, folder, link)
    return link


@pytest.mark.requirement("R11")
def test_the_requester_gets_a_mail_when_it_was_received_and_when_it_is_ready(made: World, box: Postbox) -> None:
    """One mail each, in order, from the configured sender to the verified address, with the row's id."""
    identifier = ready(made)

    assert message_delivery.deliver(desk(made, box)) == 2
    assert [state for _kind, state, _reason in states(made)] == ["sent", "sent"]
    assert box.recipients == [ADDRESS, ADDRESS]
    assert [str(message["From"]) for message in box.taken] == [SENDER, SENDER]
    assert box.ids == [f"<{row['id']}@vlint.example>" for row in stored_rows(made)]
    assert "received" in str(box.taken[0]["Subject"])
    assert all(identifier in body for message in box.taken for body in bodies(message))
    assert message_delivery.deliver(desk(made, box)) == 0


def test_an_address_of_the_directory_may_have_an_international_domain(made: World, box: Postbox) -> None:
    """A mail server without SMTPUTF8 takes the form in ASCII."""
    made.request()
    message_delivery.deliver(desk(made, box, MadeUpDirectory(address="reader@b\u00fccher.example")))
    assert box.recipients == ["reader@xn--bcher-kva.example"]


def refer(made: World, identifier: str) -> None:
    """Refer the export to a tenant, as its closing commit does."""
    with writing(made.engine) as connection:
        row = exports.get(connection, identifier)
        referrals.note(connection, made.place.settings, row, {"ten_canary": ["con_canary"]})


@pytest.mark.requirement("R1")
def test_a_tenant_is_informed_after_the_person(made: World, box: Postbox) -> None:
    """The person reads first that a tenant will be informed; the mail to the tenant has no id of person or export."""
    identifier = ready(made, tell_tenants=True)
    refer(made, identifier)
    chosen = desk(made, box)
    change(made, not_before=now(600))
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).where(TABLE.c.kind == "referred").values(not_before=None))
    assert message_delivery.deliver(chosen) == 0
    change(made, not_before=None)
    assert message_delivery.deliver(chosen) == 3
    assert [kind for kind, _state, _reason in states(made)] == ["acknowledged", "ready", "referred"]
    assert "because you agreed" in " ".join(bodies(box.taken[0])[0].split())
    assert [(one.kind, one.tenant) for one in chosen.directory.asked[-1:]] == [("tenant", "ten_canary")]  # type: ignore[attr-defined]  # the made-up directory
    for body in bodies(box.taken[-1]):
        assert "/staff/referrals" in body
        assert not any(secret in body for secret in ("usr_canary", "con_canary", identifier, "ten_canary"))


def test_an_answered_referral_sends_no_mail(made: World, box: Postbox) -> None:
    """The tenant answered before the mail was sent."""
    identifier = ready(made, tell_tenants=True)
    refer(made, identifier)
    with writing(made.engine) as connection:
        (row,) = referrals.of(connection, identifier)
        referrals.refuse(connection, row["id"], reason="law", actor="operator:test")
    message_delivery.deliver(desk(made, box))
    assert ("referred", "page", "outdated") in states(made)


def test_what_was_sent_is_in_the_audit_log(made: World, box: Postbox) -> None:
    """With the notification's id and kind; no address."""
    identifier = ready(made)
    message_delivery.deliver(desk(made, box))

    with reading(made.engine) as connection:
        sent = [row for row in audit.events(connection, export_id=identifier) if row["action"] == "notification.sent"]
    assert [row["detail"]["kind"] for row in sent] == ["acknowledged", "ready"]
    assert "canary" not in str(sent)


@pytest.mark.requirement("R45")
@pytest.mark.parametrize("language", ["en", "id-ID"])
def test_a_mail_holds_nothing_of_the_person(made: World, box: Postbox, language: str) -> None:
    """A mail contains no id of the person, their address only in To, and at most a link to the account page (R45)."""
    plain = ready(made, reason="canary of a reason")
    referred = ready(made, "user:usr_canary_2", reason="canary of a reason", tell_tenants=True)
    kinds = [kind for kind in MessageKind if kind not in NOT_HERE]
    for kind in kinds:
        _queue_alone(made, kind, referred if kind is MessageKind.REFERRED else plain)
        with capture_logs() as logs:
            message_delivery.deliver(desk(made, box, MadeUpDirectory(language=language)))
        message = box.taken.pop()
        assert box.taken == [], kind
        del message["To"]
        assert "canary" not in message.as_string(), kind
        assert "canary" not in str(logs), kind
        for body in bodies(message):
            page = "staff/referrals" if kind is MessageKind.REFERRED else "me"
            assert set(re.findall(r"https?://[^\s\"<]+", body)) <= {f"http://localhost:8000/{page}"}, kind
        assert ("Halo" in bodies(message)[0]) == (language == "id-ID"), kind
    assert len(kinds) == 15


def _queue_alone(made: World, kind: MessageKind, identifier: str) -> None:
    """Queue a message of this kind, in a state of the export that it is sent in, and no other message."""
    state = "failed" if kind in {MessageKind.FAILED, MessageKind.LOG_IN} else "ready"
    with writing(made.engine) as connection:
        connection.execute(models.notification.delete())
        connection.execute(update(models.export).values(state=state, error_message="canary of a fault"))
        if kind not in {MessageKind.CODE, MessageKind.REFERRED}:
            outbox.queue(connection, kind, identifier)
    if kind is MessageKind.REFERRED:
        refer(made, identifier)
    if kind is MessageKind.CODE:
        send_code(made, identifier)


def test_a_code_is_mailed_and_nowhere_else(made: World, box: Postbox) -> None:
    """In the text and the HTML; not in the subject, the row, the log or the audit log. It passes what waits."""
    identifier = ready(made, "contact:con_1", tenant="ten_a")
    link = send_code(made, identifier)
    with capture_logs() as logs:
        message_delivery.deliver(desk(made, box))

    first = box.taken[0]
    (code,) = {found for body in bodies(first) for found in re.findall(r"\b\d{4} \d{4}\b", body)}
    assert all(code in body for body in bodies(first))
    assert not re.search(r"\d{4}", str(first["Subject"]))
    with writing(made.engine) as connection:
        kept = [*map(dict, audit.events(connection)), *stored_rows(made), *logs]
        assert codes.check(connection, made.place.settings.keys, link, code)
    assert code not in str(kept)
    assert code.replace(" ", "") not in str(kept)


def test_a_code_that_holds_no_more_is_not_mailed(made: World, box: Postbox) -> None:
    """It is too late: the mail would be useless."""
    identifier = ready(made, "contact:con_1", tenant="ten_a")
    with writing(made.engine) as connection:
        connection.execute(models.notification.delete())
    send_code(made, identifier)
    with writing(made.engine) as connection:
        connection.execute(update(models.code).values(expires_at=now(-1)))
    message_delivery.deliver(desk(made, box))

    assert states(made) == [("code", "page", "outdated")]
    assert box.taken == []


def test_a_person_without_a_login_gets_a_landing_page(made: World, box: Postbox) -> None:
    """A link that works, for a code at the same address; only where there is something to fetch."""
    identifier = ready(made, "contact:con_1", tenant="ten_a")
    message_delivery.deliver(desk(made, box, MadeUpDirectory(can_log_in=False)))

    acknowledged, landing = box.taken
    assert not any("http" in body for body in bodies(acknowledged)[:1])
    (token,) = {found for body in bodies(landing) for found in re.findall(r"http://localhost:8000/d/([^\s\"<]+)", body)}
    with reading(made.engine) as connection:
        row = links.resolve(connection, made.place.settings.keys, token)
    assert (row["export_id"], row["audience"]) == (identifier, "code")


@pytest.mark.requirement("R20", "R45")
def test_a_person_without_a_login_reads_why_it_was_refused(made: World, box: Postbox) -> None:
    """The mail has no word of the reasons (R45): its link leads to them, for a code at the same address."""
    identifier = made.request("contact:con_1", tenant="ten_a")
    with writing(made.engine) as connection:
        approvals.deny(connection, identifier, reason="We could not verify you.", actor=Actor("officer", "olga"))
    message_delivery.deliver(desk(made, box, MadeUpDirectory(can_log_in=False)))

    texts = bodies(box.taken[-1])
    assert not any("verify you" in body for body in texts)
    (token,) = {found for body in texts for found in re.findall(r"http://localhost:8000/d/([^\s\"<]+)", body)}
    with reading(made.engine) as connection:
        row = links.resolve(connection, made.place.settings.keys, token)
    assert (row["export_id"], row["audience"], row["export_state"]) == (identifier, "code", "denied")
    assert (row["expires_at"] - row["created_at"]).days in {29, 30}
    with writing(made.engine) as connection, pytest.raises(LinkInvalid):
        links.claim(connection, row, 1, actor="link", claims_max=1, claim_seconds=60)


def test_a_tenant_is_informed_through_its_administrator(made: World, box: Postbox) -> None:
    """The directory is asked for the tenant; the link is the account page's."""
    ready(made, "tenant:ten_a", profile="switch")
    directory = MadeUpDirectory()
    message_delivery.deliver(desk(made, box, directory))

    assert {(subject.kind, subject.tenant) for subject in directory.asked} == {("tenant", "ten_a")}
    assert all("/d/" not in body for message in box.taken for body in bodies(message))


@pytest.mark.parametrize("directory", [MadeUpDirectory(verified=False), EmptyDirectory()])
def test_nothing_is_mailed_to_an_address_that_no_one_proved(made: World, box: Postbox, directory: Any) -> None:
    """A user finds it on the account page; for a contact an operator must find the address."""
    made.request()
    made.request("contact:con_1", tenant="ten_a")
    message_delivery.deliver(desk(made, box, directory))

    assert sorted(states(made)) == [("acknowledged", "failed", "no_address"), ("acknowledged", "page", "no_address")]
    assert box.taken == []
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("mail_failed", 1)]


@pytest.mark.parametrize(
    "address", ["a@b.example\r\nBcc: thief@example.org", "a@b.example, c@d.example", "@", "", "a b@c.example"]
)
def test_an_address_makes_no_header(made: World, box: Postbox, address: str) -> None:
    """A platform's address value is one recipient or none: no second header, no second recipient."""
    made.request()
    message_delivery.deliver(desk(made, box, MadeUpDirectory(address=address)))

    assert states(made) == [("acknowledged", "failed", "mail_refused")]
    assert box.taken == []


def test_a_recipient_that_is_refused_for_good_fails_and_is_counted(made: World, box: Postbox) -> None:
    """After a 5xx the mail is not retried and stays on record; the other mails of the same run are sent."""
    made.request("user:usr_1")
    made.request("user:usr_2")
    answers = iter(["550 5.1.1 canary unknown", "250 ok"])
    box.on_recipient = lambda _address: next(answers)
    with capture_logs() as logs:
        message_delivery.deliver(desk(made, box))

    assert sorted(state for _kind, state, _reason in states(made)) == ["failed", "sent"]
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("mail_failed", 1)]
    assert "canary" not in str(logs)
    assert message_delivery.deliver(desk(made, box)) == 0


def test_a_message_that_is_refused_for_good_fails(made: World, box: Postbox) -> None:
    """554 after DATA is the same."""
    made.request()
    box.on_data = lambda _number: "554 5.7.1 unwanted"
    message_delivery.deliver(desk(made, box))

    assert states(made) == [("acknowledged", "failed", "mail_refused")]


@pytest.mark.parametrize("where", ["on_recipient", "on_data"])
@pytest.mark.parametrize("answer", ["450 4.2.0 greylisted", None], ids=["4xx", "hangs up"])
def test_what_is_refused_for_now_is_sent_later(made: World, box: Postbox, where: str, answer: str | None) -> None:
    """Greylisting, a full mailbox, a connection cut at any place: again, with the same Message-ID.

    The row keeps whether the server defers this recipient alone.
    """
    made.request()
    sound = getattr(box, where)
    setattr(box, where, lambda _given: answer)
    message_delivery.deliver(desk(made, box))
    is_of_one = where == "on_recipient" and bool(answer)
    assert states(made) == [("acknowledged", "queued", "mail_deferred" if is_of_one else "mail_unavailable")]

    setattr(box, where, sound)
    message_delivery.deliver(desk(made, box))
    assert states(made) == [("acknowledged", "sent", None)]
    (row,) = stored_rows(made)
    # Cut after DATA, when the server already had it: then it comes twice, and is recognised as one.
    twice = where == "on_data" and answer is None
    assert box.ids == [f"<{row['id']}@vlint.example>"] * (1 + twice)


def test_the_wait_for_a_hanging_server_is_limited(made: World, box: Postbox) -> None:
    """Each step has its time; then it is sent again."""
    made.request()
    held = threading.Event()

    def hold(_number: int) -> str:
        held.wait(20)
        return TAKEN

    box.on_data = hold
    message_delivery.deliver(desk(made, box, smtp_seconds=0.3))
    assert states(made) == [("acknowledged", "queued", "mail_unavailable")]
    box.on_data = lambda _number: TAKEN
    message_delivery.deliver(desk(made, box))
    held.set()

    assert states(made) == [("acknowledged", "sent", None)]


def test_a_server_that_is_away_costs_no_try(made: World, box: Postbox) -> None:
    """Nothing is claimed before there is a server to hand it to."""
    made.request()
    with pytest.raises(MailUnavailable):
        message_delivery.deliver(desk(made, box, smtp_url="smtp://127.0.0.1:1"))

    (row,) = stored_rows(made)
    assert (row["state"], row["attempts"]) == ("queued", 0)


def test_a_platform_that_is_away_delays_the_mail(made: World, box: Postbox) -> None:
    """Without the directory there is no address: later."""
    made.request()
    message_delivery.deliver(desk(made, box, Away()))
    assert states(made) == [("acknowledged", "queued", "source_unavailable")]
    message_delivery.deliver(desk(made, box))

    assert states(made) == [("acknowledged", "sent", None)]


def test_a_directory_that_breaks_delays_the_mail(made: World, box: Postbox) -> None:
    """A third-party plug-in may raise any error: the mail is retried, and the error's message is not logged."""
    made.request()
    with capture_logs() as logs:
        message_delivery.deliver(desk(made, box, Broken()))

    assert states(made) == [("acknowledged", "queued", "source_refused")]
    assert "canary" not in str(logs)


def test_a_fault_of_one_message_delays_no_other(made: World, box: Postbox) -> None:
    """Messages after the faulty one are sent over the same connection; it is retried later."""
    made.request("user:usr_canary")
    made.request("user:usr_other")
    assert message_delivery.deliver(desk(made, box, BrokenForOne())) == 1

    assert states(made) == [("acknowledged", "queued", "source_refused"), ("acknowledged", "sent", None)]


@pytest.mark.parametrize(("days", "state"), [(0, "queued"), (6, "failed")])
def test_a_message_that_cannot_be_written_delays_no_other(
    made: World, box: Postbox, monkeypatch: pytest.MonkeyPatch, days: int, state: str
) -> None:
    """Whatever the error is: it ended the connection each time, and the message was never given up."""
    for name in ("one", "two"):
        made.request(f"user:usr_{name}")
    real, tried = envelopes.fill, []

    def fill(filled: Desk, row: RowMapping) -> Envelope | Unmailed:
        tried.append(row["id"])
        if row["id"] == tried[0]:
            raise RuntimeError("a bug")
        return real(filled, row)

    monkeypatch.setattr(envelopes, "fill", fill)
    change(made, created_at=now(-days * 86_400))
    assert message_delivery.deliver(desk(made, box)) == 1
    assert sorted(states(made)) == [
        ("acknowledged", *ended) for ended in sorted([(state, "internal_error"), ("sent", None)])
    ]


def test_a_recipient_who_is_deferred_delays_no_other(made: World, box: Postbox) -> None:
    """Greylisting and a full mailbox are of one recipient. A server that defers many in a row may mean all of them."""
    for name in ("canary", "other", *range(20)):
        made.request(f"user:usr_{name}")
    refused = iter(["450 4.2.0 greylisted"])
    box.on_recipient = lambda _address: next(refused, "250 ok")
    assert message_delivery.deliver(desk(made, box, backoff_seconds=100)) == 21
    assert [state for _kind, state, _reason in states(made)] == ["queued", *["sent"] * 21]

    change(made, state="queued", not_before=None)
    answers = iter(["450 4.7.1 too many"] * 21)
    box.on_recipient = lambda _address: next(answers)
    message_delivery.deliver(desk(made, box, backoff_seconds=100))
    assert len(list(answers)) == 1


def test_tries_are_further_and_further_apart(made: World, box: Postbox) -> None:
    """The first wait is short, the others double; no other clock claims it meanwhile."""
    made.request()
    box.on_recipient = lambda _address: "451 later"
    slow = desk(made, box, backoff_seconds=100)
    message_delivery.deliver(slow)
    assert message_delivery.deliver(slow) == 0
    (first,) = stored_rows(made)
    change(made, not_before=now(-1), attempts=4)
    message_delivery.deliver(slow)
    (fifth,) = stored_rows(made)

    waits = [(row["not_before"] - first["created_at"]).total_seconds() for row in (first, fifth)]
    assert 45 < waits[0] < 200
    assert 750 < waits[1] < 2600


def test_after_five_days_a_person_has_to_look(made: World, box: Postbox) -> None:
    """As long as mail servers try (RFC 5321, 4.5.4.1); then it is failed and counted, never silently gone."""
    made.request()
    change(made, created_at=now(-6 * 86_400))
    box.on_recipient = lambda _address: "451 later"
    message_delivery.deliver(desk(made, box))

    assert states(made) == [("acknowledged", "failed", "mail_deferred")]


def test_the_log_names_whose_mail_fails(made: World, box: Postbox) -> None:
    """By its export and its kind: the desk has the person whom to contact in another way."""
    export_id = made.request()
    box.on_recipient = lambda _address: "452 4.2.2 mailbox full"
    with capture_logs() as logs:
        message_delivery.deliver(desk(made, box))
        change(made, not_before=now(-1), created_at=now(-6 * 86_400))
        message_delivery.deliver(desk(made, box))
    told = [log for log in logs if log["event"].startswith("deliver.")]
    assert [log["event"] for log in told] == ["deliver.failed", "deliver.failed", "deliver.gave_up"]
    assert {(log["export"], log["kind"]) for log in told} == {(export_id, "acknowledged")}


def test_what_is_no_longer_true_is_not_reported(made: World, box: Postbox) -> None:
    """It was ready, and is being made again before the message was sent: the message reports the next revision."""
    identifier = ready(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="failed"))
        retries.retry(connection, identifier, actor="operator:test")
    message_delivery.deliver(desk(made, box))
    assert ("ready", "page", "outdated") in states(made)
    made.advance_all()
    message_delivery.deliver(desk(made, box))

    assert [str(message["Subject"]) for message in box.taken][-1] == "The copy of your data is ready"
    assert len(box.taken) == 2


def test_without_a_mail_server_it_stands_on_the_account_page(made: World) -> None:
    """Settled, so that a mail server that comes later does not send old news; a code is on no page."""
    identifier = made.request()
    with writing(made.engine) as connection:
        outbox.queue(connection, MessageKind.CODE, identifier, occasion="cod_1")
    message_delivery.leave_on_page(made.engine)

    assert sorted(states(made)) == [("acknowledged", "page", "no_mail"), ("code", "failed", "no_mail")]
    with reading(made.engine) as connection:
        assert [row["kind"] for row in outbox.messages(connection, [identifier])] == ["acknowledged"]


def test_a_code_that_no_one_can_send_is_counted_and_in_the_audit_log(made: World) -> None:
    """As every message that reaches no one: it rings, and its event names the export. What is on a page does not."""
    identifier = made.request()
    with writing(made.engine) as connection:
        outbox.queue(connection, MessageKind.CODE, identifier, occasion="cod_1")
        outbox.queue(connection, MessageKind.CODE, identifier, occasion="cod_2")
    message_delivery.leave_on_page(made.engine)
    message_delivery.leave_on_page(made.engine)

    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("mail_failed", 2)]
    with reading(made.engine) as connection:
        found = audit.events(connection, export_id=identifier)
    lost = [event["detail"] for event in found if event["action"] == "notification.failed"]
    assert [(detail["kind"], detail["reason"]) for detail in lost] == [("code", "no_mail")] * 2


def test_of_many_clocks_one_sends(made: World, box: Postbox, control_url: str) -> None:
    """Each mail once, however many clocks there are."""
    for number in range(12):
        made.request(f"user:usr_{number}")

    def send(_number: int) -> int:
        engine = open_engine(control_url)
        try:
            return message_delivery.deliver(desk(made, box, engine=engine))
        finally:
            engine.dispose()

    assert sum(in_threads(4, send)) == 12
    assert len(set(box.ids)) == len(box.ids) == 12


def test_a_dead_clocks_mail_is_sent_after_its_lease(made: World, box: Postbox) -> None:
    """It may have been handed over or not: it is sent."""
    made.request()
    assert message_delivery.claim(made.engine, 100) is not None
    assert message_delivery.deliver(desk(made, box)) == 0
    change(made, lease_until=now(-1))

    assert message_delivery.deliver(desk(made, box)) == 1
    assert len(box.taken) == 1


@contextmanager
def killed_at(engine: Engine, number: int) -> Iterator[list[int]]:
    """The process ends before its nth statement or commit; yields the count so far."""
    seen = [0]

    def step(*_arguments: object, **_named: object) -> None:
        seen[0] += 1
        if seen[0] == number:
            raise Killed

    def before_statement(_connection: Connection, _cursor: object, *_rest: object) -> None:
        step()

    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", step)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", before_statement)
        event.remove(engine, "commit", step)


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.system)])
def test_killed_between_any_two_steps_from_ready_to_mailed_there_is_a_mail(
    made: World, box: Postbox, stride: int
) -> None:
    """Before each statement and each commit, of the worker that makes it ready and of the clock that mails it."""
    number, died = 0, 0
    while number <= died:
        number += stride
        with writing(made.engine) as connection:
            connection.execute(models.notification.delete())
        box.taken.clear()
        identifier = made.request(f"user:usr_{number}")
        with killed_at(made.engine, number) as seen:
            try:
                made.advance_all()
                message_delivery.deliver(desk(made, box))
            except Killed:
                died = number
        change(made, lease_until=None, not_before=None)
        with writing(made.engine) as connection:
            connection.execute(update(models.slice).values(lease_until=None, not_before=None))
        made.advance_all()
        message_delivery.deliver(desk(made, box))

        assert made.view(identifier)["state"] == "ready", number
        assert {state for _kind, state, _reason in states(made)} == {"sent"}, number
        wanted = {f"<{row['id']}@vlint.example>" for row in stored_rows(made)}
        assert set(box.ids) == wanted, number
        assert len(wanted) == 2
    assert died > 40
    assert seen[0] < number
