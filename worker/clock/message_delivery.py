"""Deliver: queued notifications become mails or SMS, each sent at least once (docs/mail.md). Several clocks may run.

claim (a lease) -> look up the address -> write the letter -> renew the lease -> hand it over -> commit `sent`

A kill between the server's reply and the commit sends it again, with the same identifier.
"""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import structlog
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, case, or_, select, update

from portability.api.errors import PortabilityError
from portability.database import history, incidents, leases, models
from portability.database.engine import elapsed_seconds, now, reading, writing
from portability.database.incidents import Incident
from portability.messages import mail, sms
from portability.messages.mail import MailDeferred, MailRefused, MailServer
from portability.messages.outbox import ABOUT_CONSENT, ABOUT_RECEIVED, CODES, Channel, MessageKind, MessageState
from portability.messages.sms import SmsGateway, SmsRefused
from portability.people.addresses import for_mail
from portability.settings import Settings
from portability.trust import audit
from worker.clock import envelopes, outgoing
from worker.clock.envelopes import Desk, Envelope, Unmailed

log = structlog.get_logger()
TABLE = models.notification
FIRST = TABLE.alias()
ACTOR = "clock"
GIVE_UP_SECONDS = 5 * 86_400
"""As long as mail servers usually retry (RFC 5321, 4.5.4.1)."""
POSTPONED_MOST = 20
"""Recipients that a server may defer over one connection; more may mean that it takes no mail from this one now."""
STEPS = 8
"""Steps of handing over one message, each of which may take SMTP_SECONDS: the lease is longer than all of them."""
UNCONFIGURED: Mapping[Channel, str] = {Channel.MAIL: "no_mail", Channel.SMS: "no_sms"}
"""Reason of a message that is not sent because the deployment has no mail server, or no SMS gateway."""
HandOver: TypeAlias = Callable[[RowMapping, Envelope], None]
"""Hands over one message. Raises MailRefused, SmsRefused, and retryable errors."""


def run(open_desk: Callable[[], Desk], engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Send what is due until stopped; while a service is down, wait."""
    desk: Desk | None = None
    channels = {Channel.MAIL: settings.smtp_url, Channel.SMS: settings.sms_url}
    while not stop.is_set():
        for channel, url in channels.items():
            try:
                if url is None:
                    leave_on_page(engine, channel)
                else:
                    desk = desk or open_desk()
                    while deliver(desk, stop, channel):
                        pass
            except PortabilityError as error:
                log.warning("deliver.waits", code=error.code)
            except Exception as error:
                log.exception("deliver.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def leave_on_page(engine: Engine, channel: Channel = Channel.MAIL) -> None:
    """Without a way to send them, leave messages on the account page; a later server sends no old messages."""
    waiting = and_(TABLE.c.state == MessageState.QUEUED, TABLE.c.channel == channel)
    with reading(engine) as connection:
        if connection.scalar(select(TABLE.c.id).where(waiting).limit(1)) is None:
            return
    # Codes are never shown on a page, and who is known by a number logs in with an SMS. A tenant has its page.
    is_lost = or_(TABLE.c.kind.in_(CODES), TABLE.c.channel == Channel.SMS)
    state = case((is_lost, MessageState.FAILED), else_=MessageState.PAGE)
    left = update(TABLE).where(waiting).values(state=state, reason=UNCONFIGURED[channel]).returning(TABLE)
    with writing(engine) as connection:
        rows = connection.execute(left).mappings().all()
        lost = [row for row in rows if row["state"] == MessageState.FAILED]
        for row in lost:
            _record(connection, row)
    for row in lost:
        _count_lost(engine, row)


def deliver(desk: Desk, stop: threading.Event | None = None, channel: Channel = Channel.MAIL) -> int:
    """Send what is due over one connection; returns how many rows were settled before it ended.

    Raises: MailUnavailable if there is something to send and no server accepts it; DatabaseUnavailable.
    """
    if not _something_due(desk.engine, channel):
        return 0
    settled = 0
    postponed: set[str] = set()
    with _connected(desk, channel) as hand_over:
        while not (stop is not None and stop.is_set()):
            row = claim(desk.engine, lease_seconds(desk.settings), channel, without=postponed)
            if row is None:
                break
            try:
                _advance(desk, hand_over, row)
                settled += 1
            except PortabilityError as error:
                _back_off(desk, row, error.code)
                postponed.add(row["id"])
                is_of_one = isinstance(error, MailDeferred) and len(postponed) < POSTPONED_MOST
                if error.retryable and not is_of_one:
                    break  # a service that is down fails for all messages
            except Exception as error:  # noqa: BLE001  # logged with the row
                _back_off(desk, row, outgoing.unexpected(error, "deliver", row))
                postponed.add(row["id"])
    return settled


@contextmanager
def _connected(desk: Desk, channel: Channel) -> Iterator[HandOver]:
    settings = desk.settings
    if channel is Channel.SMS:
        with sms.session(settings.sms_url or "", settings.sms_token, settings.smtp_seconds) as gateway:
            yield partial(_text, gateway)
    else:
        with mail.session(MailServer.of(settings.smtp_url or ""), settings.smtp_seconds) as smtp:
            yield partial(_mail, desk, smtp)


def lease_seconds(settings: Settings) -> float:
    """Return how long a notification that is sent is taken."""
    return settings.smtp_seconds * STEPS


def claim(
    engine: Engine, lease_seconds: float, channel: Channel = Channel.MAIL, *, without: Collection[str] = ()
) -> RowMapping | None:
    """Take the next notification, or None. Codes go first, because a person is waiting for them.

    `without` are ids of notifications to leave: a fault that lasts would keep the caller at the same message.
    """
    order: tuple[ColumnElement[Any], ...] = (TABLE.c.kind.not_in(CODES), TABLE.c.created_at, TABLE.c.id)
    chosen = select(TABLE.c.id).where(_due(channel), TABLE.c.id.not_in(without)).order_by(*order)
    with writing(engine) as connection:
        history.check(connection)
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        identifier = connection.scalar(chosen.limit(1))
        taken = {"lease_until": now(lease_seconds), "attempts": TABLE.c.attempts + 1}
        matching = update(TABLE).where(TABLE.c.id == identifier, _due(channel)).values(**taken)
        age = elapsed_seconds(TABLE.c.created_at, now()).label("age_seconds")
        return connection.execute(matching.returning(TABLE, age)).mappings().one_or_none()


def _due(channel: Channel) -> ColumnElement[bool]:
    # The person is informed first that a tenant will be.
    told = (FIRST.c.export_id == TABLE.c.export_id, FIRST.c.kind == MessageKind.ACKNOWLEDGED)
    waits = select(FIRST.c.id).where(*told, FIRST.c.state == MessageState.QUEUED).exists()
    is_turn = or_(TABLE.c.kind != MessageKind.REFERRED, ~waits)
    return and_(TABLE.c.state == MessageState.QUEUED, TABLE.c.channel == channel, leases.is_available(TABLE), is_turn)


def _something_due(engine: Engine, channel: Channel) -> bool:
    with reading(engine) as connection:
        return connection.scalar(select(TABLE.c.id).where(_due(channel)).limit(1)) is not None


def _advance(desk: Desk, hand_over: HandOver, row: RowMapping) -> None:
    """Send one notification, or settle why not. Raises PortabilityError if a later attempt may succeed."""
    try:
        written = envelopes.fill(desk, row)
        if isinstance(written, Unmailed):
            _settle(desk.engine, row, written.state, written.reason)
            return
        if not _renewed(desk, row):
            return  # another clock has taken it while the address was looked up
        hand_over(row, written)
    except (MailRefused, SmsRefused) as error:
        _settle(desk.engine, row, MessageState.FAILED, error.code)
        return
    _settle(desk.engine, row, MessageState.SENT, written.remark, language=written.language)
    log.info("deliver.sent", **_named(row))


def _renewed(desk: Desk, row: RowMapping) -> bool:
    """Extend the lease over the steps of the server; returns False if it is lost."""
    ours = update(TABLE).where(leases.is_same(TABLE, row), TABLE.c.state == MessageState.QUEUED)
    with writing(desk.engine) as connection:
        lease = ours.values(lease_until=now(lease_seconds(desk.settings)))
        return bool(connection.execute(lease).rowcount)


def _text(gateway: SmsGateway, row: RowMapping, written: Envelope) -> None:
    gateway.send(written.address, written.letter.text, row["id"])


def _mail(desk: Desk, smtp: smtplib.SMTP, row: RowMapping, written: Envelope) -> None:
    message = mail.compose(
        written.letter,
        sender=desk.settings.mail_from or "",
        brand=desk.settings.brand_name,
        recipient=for_mail(written.address),
        identifier=row["id"],
        written_at=row["created_at"],
        language=written.language,
    )
    mail.send(smtp, message)


def _settle(
    engine: Engine, row: RowMapping, state: MessageState, reason: str | None = None, language: str | None = None
) -> None:
    """Settle a notification; if another clock has settled it meanwhile, that result stays."""
    sent_at = now() if state is MessageState.SENT else None
    ended = {"state": state, "reason": reason, "language": language, "lease_until": None, "sent_at": sent_at}
    with writing(engine) as connection:
        matching = update(TABLE).where(outgoing.unsettled(TABLE, row, is_done=state is MessageState.SENT))
        settled = connection.execute(matching.values(**ended).returning(TABLE)).mappings().one_or_none()
        if not settled:
            return
        _record(connection, settled)
    if state is MessageState.FAILED:
        _count_lost(engine, settled)


def _record(connection: Connection, row: RowMapping) -> None:
    """Record the end of a notification in the audit log."""
    detail = {"notification": row["id"], "kind": row["kind"], "reason": row["reason"]}
    if row["kind"] in ABOUT_CONSENT:
        detail["authorisation"] = row["occasion"]
    if row["kind"] in ABOUT_RECEIVED:
        detail["received"] = row["occasion"]
    audit.record(connection, f"notification.{row['state']}", actor=ACTOR, export_id=row["export_id"], detail=detail)


def _count_lost(engine: Engine, row: RowMapping) -> None:
    """Count a notification that reaches no one."""
    incidents.count(engine, Incident.MAIL_FAILED)
    log.warning("deliver.gave_up", code=row["reason"], **_named(row))


def _back_off(desk: Desk, row: RowMapping, code: str) -> None:
    """Try again later, or give up after days."""
    log.warning("deliver.failed", code=code, attempt=row["attempts"], **_named(row))
    if row["age_seconds"] > GIVE_UP_SECONDS:
        _settle(desk.engine, row, MessageState.FAILED, code)
        return
    outgoing.postpone(desk.engine, desk.settings, TABLE, row, code)


def _named(row: RowMapping) -> Mapping[str, str | None]:
    """Return what the log has of a notification: the ids by which a person finds it."""
    return {"notification": row["id"], "kind": row["kind"], "export": row["export_id"]}
