"""Announce: queued webhooks go to their recipients, each at least once (docs/transfers.md).

`webhook-id` is the same at every attempt, so that a recipient can recognise duplicates.
"""

from __future__ import annotations

import threading
from functools import partial

import structlog
from sqlalchemy import Engine, RowMapping, select, update

from portability.api.errors import PortabilityError
from portability.database import incidents, models
from portability.database.engine import now, writing
from portability.database.incidents import Incident
from portability.messages import recipient_notices, webhooks
from portability.messages.webhooks import WebhookState
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.transfers import recipients
from portability.trust import audit
from worker.clock import outgoing

log = structlog.get_logger()
TABLE, TRANSFER, RECIPIENT = models.webhook, models.transfer, models.recipient
ACTOR = "clock"
GIVE_UP_SECONDS = 7 * 86_400
"""As long as the link in it is valid."""
TAKEN = range(200, 300)
GONE = "status_410"
"""The recipient wants no more webhooks (Standard Webhooks)."""


def run(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Send what is due until stopped; while a service is down, wait."""
    outgoing.repeat(partial(announce, engine, settings, SafeHttpClient.of(settings)), "announce", settings, stop)


def announce(engine: Engine, settings: Settings, client: SafeHttpClient) -> bool:
    """Send the next webhook that is due; returns whether there was one. Raises DatabaseUnavailable."""
    row = claim(engine)
    if not row:
        return False
    try:
        fault = _send(settings, client, row)
    except PortabilityError as error:
        fault = error.code
    except Exception as error:  # noqa: BLE001  # logged with the row
        fault = outgoing.unexpected(error, "announce", row)
    if fault:
        _back_off(engine, settings, row, fault)
    else:
        _settle(engine, row, WebhookState.SENT, None)
        log.info("announce.sent", webhook=row["id"], transfer=row["transfer_id"])
    return True


def claim(engine: Engine) -> RowMapping | None:
    """Take the next webhook, with its recipient, or None."""
    of_recipient = [RECIPIENT.c[name] for name in ("webhook_url", "webhook_kid")]
    joined = TABLE.join(TRANSFER, TRANSFER.c.id == TABLE.c.transfer_id)
    joined = joined.join(RECIPIENT, RECIPIENT.c.id == TRANSFER.c.recipient_id)
    what = select(TABLE, TRANSFER.c.export_id, TRANSFER.c.recipient_id, *of_recipient).select_from(joined)
    return outgoing.take(engine, TABLE, what)


def _send(settings: Settings, client: SafeHttpClient, row: RowMapping) -> str | None:
    """Try once; returns what was wrong with the answer. Raises AddressRefused, RemoteUnavailable, NoSigningKey."""
    body = webhooks.content(settings.keys, row)
    named = {"id": row["recipient_id"], "webhook_kid": row["webhook_kid"]}
    secret = recipients.webhook_secret(settings.keys, named)
    headers = webhooks.headers(row, body, secret, outgoing.present(row))
    status = client.post_for_status(row["webhook_url"], body, headers=headers)
    return None if status in TAKEN else f"status_{status}"


def _settle(engine: Engine, row: RowMapping, state: WebhookState, reason: str | None) -> None:
    """Settle a webhook; its content is deleted from the database."""
    sent_at = now() if state is WebhookState.SENT else None
    ended = {"state": state, "reason": reason, "lease_until": None, "sealed": None, "sent_at": sent_at}
    detail: audit.Detail = {"webhook": row["id"], "transfer": row["transfer_id"], "reason": reason}
    with writing(engine) as connection:
        matching = update(TABLE).where(outgoing.unsettled(TABLE, row, is_done=state is WebhookState.SENT))
        if not connection.execute(matching.values(**ended)).rowcount:
            return
        audit.record(connection, f"webhook.{state}", actor=ACTOR, export_id=row["export_id"], detail=detail)
    if state is WebhookState.FAILED:
        incidents.count(engine, Incident.WEBHOOK_FAILED)
        log.warning("announce.gave_up", code=reason, **outgoing.named(row, "webhook"))


def _back_off(engine: Engine, settings: Settings, row: RowMapping, code: str) -> None:
    """Try again later, whatever was wrong: the recipient may get another address; or give up."""
    log.warning("announce.failed", code=code, attempt=row["attempts"], **outgoing.named(row, "webhook"))
    if _drop_known(engine, row, code):
        return
    if code == GONE or row["age_seconds"] > GIVE_UP_SECONDS:
        _settle(engine, row, WebhookState.FAILED, code)
        return
    to_same = TABLE.c.transfer_id.in_(select(TRANSFER.c.id).where(TRANSFER.c.recipient_id == row["recipient_id"]))
    outgoing.postpone(engine, settings, TABLE, row, code, to_same)


def _drop_known(engine: Engine, row: RowMapping, code: str) -> bool:
    """Drop a webhook whose recipient has begun the download or sent a receipt: it knows the offer; returns whether."""
    known = select(TRANSFER.c.id).where(TRANSFER.c.id == row["transfer_id"], recipient_notices.fetched())
    dropped = {"state": WebhookState.DROPPED, "reason": code, "lease_until": None, "sealed": None}
    with writing(engine) as connection:
        unsettled = (outgoing.unsettled(TABLE, row, is_done=False), known.exists())
        return bool(connection.execute(update(TABLE).where(*unsettled).values(**dropped)).rowcount)
