"""Deliver: queued notifications become mails, at least once and never none (docs/mail.md). Safe in several clocks.

claim (a lease) -> look up the address -> write the letter -> hand it over -> commit `sent`

A kill between the server's 250 and the commit sends it again, with the same Message-ID.
"""

from __future__ import annotations

import secrets
import smtplib
import threading
from collections.abc import Callable

import structlog
from sqlalchemy import ColumnElement, Engine, RowMapping, and_, case, or_, select, update

from portability import audit, incidents, mail, models
from portability.db import elapsed_seconds, now, reading, writing
from portability.errors import PortabilityError
from portability.incidents import Incident
from portability.mail import MailRefused, Server
from portability.notify import Kind, State
from portability.settings import Settings
from worker import envelope
from worker.envelope import Desk, Envelope, Unmailed

log = structlog.get_logger()
TABLE = models.notification
ACTOR = "clock"
GIVE_UP_SECONDS = 5 * 86_400
"""As long as mail servers try (RFC 5321, 4.5.4.1)."""
BACKOFF_MAX_SECONDS = 3600
DOUBLINGS_MAX = 16
STEPS = 8
"""Of one handing over, each of which may take SMTP_SECONDS: the lease outlasts them all."""
NO_MAIL = "no_mail"
"""Reason of what is not mailed because the deployment has no mail server."""


def run(open_desk: Callable[[], Desk], engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Mail what is due until told to stop; whatever is away is waited for."""
    desk: Desk | None = None
    while not stop.is_set():
        try:
            if settings.smtp_url is None:
                leave_on_page(engine)
            else:
                desk = desk or open_desk()
                while deliver(desk, stop):
                    pass
        except PortabilityError as error:
            log.warning("deliver.waits", code=error.code)
        except Exception as error:
            log.exception("deliver.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def leave_on_page(engine: Engine) -> None:
    """Without a mail server everything stands on the account page alone; a later one does not send old news."""
    waiting = TABLE.c.state == State.QUEUED
    with reading(engine) as connection:
        if connection.scalar(select(TABLE.c.id).where(waiting).limit(1)) is None:
            return
    # A code is on no page: whoever waits for one waits in vain.
    state = case((TABLE.c.kind == Kind.CODE, State.FAILED), else_=State.PAGE)
    with writing(engine) as connection:
        connection.execute(update(TABLE).where(waiting).values(state=state, reason=NO_MAIL))


def deliver(desk: Desk, stop: threading.Event | None = None) -> int:
    """Mail what is due over one connection; returns how many rows were settled before it ended.

    Raises: MailUnavailable where there is something to send and no server to take it; DatabaseUnavailable.
    """
    if not _something_due(desk.engine):
        return 0
    settled = 0
    server = Server.of(desk.settings.smtp_url or "")
    with mail.session(server, desk.settings.smtp_seconds) as smtp:
        while not (stop is not None and stop.is_set()):
            row = claim(desk.engine, desk.settings.smtp_seconds * STEPS)
            if row is None:
                break
            if not _advance(desk, smtp, row):
                break
            settled += 1
    return settled


def claim(engine: Engine, lease_seconds: float) -> RowMapping | None:
    """Take the next notification, or None. Codes pass the others: somebody waits for them."""
    chosen = select(TABLE.c.id).where(_due()).order_by(TABLE.c.kind != Kind.CODE, TABLE.c.created_at, TABLE.c.id)
    with writing(engine) as connection:
        if connection.dialect.name == "deskgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        identifier = connection.scalar(chosen.limit(1))
        taken = {"lease_until": now(lease_seconds), "attempts": TABLE.c.attempts + 1}
        mine = update(TABLE).where(TABLE.c.id == identifier, _due()).values(**taken)
        age = elapsed_seconds(TABLE.c.created_at, now()).label("age_seconds")
        return connection.execute(mine.returning(TABLE, age)).mappings().one_or_none()


def _due() -> ColumnElement[bool]:
    free = or_(TABLE.c.lease_until.is_(None), TABLE.c.lease_until < now())
    rested = or_(TABLE.c.not_before.is_(None), TABLE.c.not_before <= now())
    return and_(TABLE.c.state == State.QUEUED, free, rested)


def _something_due(engine: Engine) -> bool:
    with reading(engine) as connection:
        return connection.scalar(select(TABLE.c.id).where(_due()).limit(1)) is not None


def _advance(desk: Desk, smtp: smtplib.SMTP, row: RowMapping) -> bool:
    """Mail one notification, or say why not; returns whether another may follow: what is away is away for all."""
    try:
        written = envelope.fill(desk, row)
        if isinstance(written, Unmailed):
            _settle(desk.engine, row, written.state, written.reason)
            return True
        _hand_over(desk, smtp, row, written)
    except MailRefused as error:
        _settle(desk.engine, row, State.FAILED, error.code)
    except PortabilityError as error:
        _back_off(desk, row, error)
        return False
    return True


def _hand_over(desk: Desk, smtp: smtplib.SMTP, row: RowMapping, written: Envelope) -> None:
    message = mail.compose(
        written.letter,
        sender=desk.settings.mail_from or "",
        recipient=written.address,
        identifier=row["id"],
        written_at=row["created_at"],
    )
    mail.send(smtp, message)
    _settle(desk.engine, row, State.SENT, None, language=written.language)
    log.info("deliver.sent", notification=row["id"], kind=row["kind"], export=row["export_id"])


def _settle(
    engine: Engine, row: RowMapping, state: State, reason: str | None = None, language: str | None = None
) -> None:
    """The last word on a notification; what another clock has said meanwhile stands."""
    sent_at = now() if state is State.SENT else None
    ended = {"state": state, "reason": reason, "language": language, "lease_until": None, "sent_at": sent_at}
    detail = {"notification": row["id"], "kind": row["kind"], "reason": reason}
    with writing(engine) as connection:
        mine = update(TABLE).where(TABLE.c.id == row["id"], TABLE.c.state == State.QUEUED)
        if not connection.execute(mine.values(**ended)).rowcount:
            return
        audit.record(connection, f"notification.{state}", actor=ACTOR, export_id=row["export_id"], detail=detail)
    if state is State.FAILED:
        incidents.count(engine, Incident.MAIL_FAILED)
        log.warning("deliver.gave_up", notification=row["id"], kind=row["kind"], code=reason)


def _back_off(desk: Desk, row: RowMapping, error: PortabilityError) -> None:
    """Try again later, or no more where it has been tried for days."""
    log.warning("deliver.failed", notification=row["id"], code=error.code, attempt=row["attempts"])
    if row["age_seconds"] > GIVE_UP_SECONDS:
        _settle(desk.engine, row, State.FAILED, error.code)
        return
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    doublings = min(row["attempts"] - 1, DOUBLINGS_MAX)
    wait_seconds = min(BACKOFF_MAX_SECONDS, desk.settings.backoff_seconds * 2**doublings) * jitter
    # Only if it is still this clock's: another one may have it after the lease.
    mine = (TABLE.c.id == row["id"], TABLE.c.attempts == row["attempts"], TABLE.c.state == State.QUEUED)
    later = {"lease_until": None, "not_before": now(wait_seconds), "reason": error.code}
    with writing(desk.engine) as connection:
        connection.execute(update(TABLE).where(*mine).values(**later))
