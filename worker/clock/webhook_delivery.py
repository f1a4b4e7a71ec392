"""Announce: queued webhooks go to their recipients, each at least once (docs/transfers.md).

Several clocks may run. `webhook-id` is the same at every attempt, so that a recipient can recognise duplicates.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime

import structlog
from sqlalchemy import ColumnElement, Engine, RowMapping, and_, or_, select, update

from portability.api.errors import PortabilityError
from portability.database import history, incidents, models
from portability.database.engine import elapsed_seconds, now, reading, writing
from portability.database.incidents import Incident
from portability.messages import webhooks
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.transfers import recipients
from portability.trust import audit

log = structlog.get_logger()
TABLE, TRANSFER, RECIPIENT = models.webhook, models.transfer, models.recipient
ACTOR = "clock"
LEASE_SECONDS = 60.0
"""Longer than any attempt: portability/safe_http.py limits its time."""
BACKOFF_MAX_SECONDS = 3600
DOUBLINGS_MAX = 16
GIVE_UP_SECONDS = 7 * 86_400
"""As long as the link in it is valid."""
TAKEN = range(200, 300)
GONE = 410
"""The recipient wants no more webhooks (Standard Webhooks)."""


def run(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Send what is due until stopped; while a service is down, wait."""
    client = SafeHttpClient.of(settings)
    while not stop.is_set():
        try:
            while announce(engine, settings, client) and not stop.is_set():
                pass
        except PortabilityError as error:
            log.warning("announce.waits", code=error.code)
        except Exception as error:
            log.exception("announce.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def announce(engine: Engine, settings: Settings, client: SafeHttpClient) -> bool:
    """Send the next webhook that is due; returns whether there was one. Raises DatabaseUnavailable."""
    row = claim(engine)
    if row is None:
        return False
    try:
        fault = _send(settings, client, row)
    except PortabilityError as error:
        _back_off(engine, settings, row, error.code, again=error.retryable)
        return True
    if fault is None:
        _settle(engine, row, "sent", None)
        log.info("announce.sent", webhook=row["id"], transfer=row["transfer_id"])
    else:
        _back_off(engine, settings, row, fault, again=fault != f"status_{GONE}")
    return True


def claim(engine: Engine) -> RowMapping | None:
    """Take the next webhook, with its recipient, or None."""
    chosen = select(TABLE.c.id).where(_due()).order_by(TABLE.c.created_at, TABLE.c.id)
    with reading(engine) as connection:
        history.check(connection)
        if connection.scalar(chosen.limit(1)) is None:
            return None
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        identifier = connection.scalar(chosen.limit(1))
        taken = {"lease_until": now(LEASE_SECONDS), "attempts": TABLE.c.attempts + 1}
        if not connection.execute(update(TABLE).where(TABLE.c.id == identifier, _due()).values(**taken)).rowcount:
            return None
        age = elapsed_seconds(TABLE.c.created_at, now()).label("age_seconds")
        of_recipient = [RECIPIENT.c[name] for name in ("webhook_url", "webhook_kid")]
        joined = TABLE.join(TRANSFER, TRANSFER.c.id == TABLE.c.transfer_id)
        joined = joined.join(RECIPIENT, RECIPIENT.c.id == TRANSFER.c.recipient_id)
        query = select(TABLE, age, TRANSFER.c.export_id, TRANSFER.c.recipient_id, *of_recipient).select_from(joined)
        return connection.execute(query.where(TABLE.c.id == identifier)).mappings().one()


def _send(settings: Settings, client: SafeHttpClient, row: RowMapping) -> str | None:
    """Try once; returns what was wrong with the answer. Raises AddressRefused, RemoteUnavailable, NoSigningKey."""
    body = webhooks.content(settings.keys, row)
    named = {"id": row["recipient_id"], "webhook_kid": row["webhook_kid"]}
    secret = recipients.webhook_secret(settings.keys, named)
    headers = webhooks.headers(row, body, secret, datetime.now(UTC))
    status = client.post(row["webhook_url"], body, headers=headers).status
    return None if status in TAKEN else f"status_{status}"


def _due() -> ColumnElement[bool]:
    free = or_(TABLE.c.lease_until.is_(None), TABLE.c.lease_until < now())
    rested = or_(TABLE.c.not_before.is_(None), TABLE.c.not_before <= now())
    return and_(TABLE.c.state == "queued", free, rested)


def _settle(engine: Engine, row: RowMapping, state: str, reason: str | None) -> None:
    """Settle a webhook; its content is deleted from the database."""
    sent_at = now() if state == "sent" else None
    ended = {"state": state, "reason": reason, "lease_until": None, "sealed": None, "sent_at": sent_at}
    detail: audit.Detail = {"webhook": row["id"], "transfer": row["transfer_id"], "reason": reason}
    with writing(engine) as connection:
        matching = update(TABLE).where(TABLE.c.id == row["id"], TABLE.c.state == "queued")
        if not connection.execute(matching.values(**ended)).rowcount:
            return
        audit.record(connection, f"webhook.{state}", actor=ACTOR, export_id=row["export_id"], detail=detail)
    if state == "failed":
        incidents.count(engine, Incident.WEBHOOK_FAILED)
        log.warning("announce.gave_up", webhook=row["id"], code=reason)


def _back_off(engine: Engine, settings: Settings, row: RowMapping, code: str, *, again: bool) -> None:
    """Try again later, or give up."""
    log.warning("announce.failed", webhook=row["id"], code=code, attempt=row["attempts"])
    if not again or row["age_seconds"] > GIVE_UP_SECONDS:
        _settle(engine, row, "failed", code)
        return
    matching = (TABLE.c.id == row["id"], TABLE.c.attempts == row["attempts"], TABLE.c.state == "queued")
    later = {"lease_until": None, "not_before": now(wait_seconds(settings, row["attempts"])), "reason": code}
    with writing(engine) as connection:
        connection.execute(update(TABLE).where(*matching).values(**later))


def wait_seconds(settings: Settings, attempts: int) -> float:
    """Return how long to wait after this many attempts: doubled each time, up to an hour, and spread by chance."""
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    doublings = min(attempts - 1, DOUBLINGS_MAX)
    return float(min(BACKOFF_MAX_SECONDS, settings.backoff_seconds * 2**doublings) * jitter)
