"""Inform recipients of changes: each notice is posted until its recipient has acknowledged it by signature (ADR 56).

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
from portability.messages import recipient_notices
from portability.messages.recipient_notices import NoticeState
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.transfers import acknowledgements
from portability.trust import audit
from worker.clock import outgoing

log = structlog.get_logger()
TABLE, RECIPIENT = models.recipient_notice, models.recipient
ACTOR = "clock"
GIVE_UP_SECONDS = 30 * 86_400
"""As long as a receipt is accepted."""
ADDRESS = ("domain", "jwks_url", "webhook_url", "webhook_kid")
"""Columns of a recipient. Those of a removed recipient too: it still has the data."""


def run(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Send what is due until stopped; while a service is down, wait."""
    outgoing.repeat(partial(inform, engine, settings, SafeHttpClient.of(settings)), "inform", settings, stop)


def inform(engine: Engine, settings: Settings, client: SafeHttpClient) -> bool:
    """Send the next notice that is due; returns whether there was one. Raises DatabaseUnavailable."""
    row = claim(engine)
    if not row:
        return False
    to = {"id": row["recipient_id"], **{name: row[name] for name in ADDRESS}}
    try:
        token, fault = acknowledgements.post(client, settings, row, to, outgoing.present(row))
    except PortabilityError as error:
        token, fault = None, error.code
    except Exception as error:  # noqa: BLE001  # logged with the row
        token, fault = None, outgoing.unexpected(error, "inform", row)
    if token:
        _settle(engine, row, NoticeState.ACKNOWLEDGED, token=token)
        log.info("inform.acknowledged", notice=row["id"], transfer=row["transfer_id"])
    else:
        _back_off(engine, settings, row, str(fault))
    return True


def claim(engine: Engine) -> RowMapping | None:
    """Take the next notice, with its recipient's addresses, or None."""
    joined = TABLE.join(RECIPIENT, RECIPIENT.c.id == TABLE.c.recipient_id)
    what = select(TABLE, *(RECIPIENT.c[name] for name in ADDRESS)).select_from(joined)
    return outgoing.take(engine, TABLE, what)


def _settle(
    engine: Engine, row: RowMapping, state: NoticeState, *, token: str | None = None, reason: str | None = None
) -> None:
    """Settle a notice, with the recipient's acknowledgement or the reason why it is given up."""
    ended = {"state": state, "reason": reason, "acknowledgement": token, "lease_until": None, "settled_at": now()}
    is_acknowledged = state is NoticeState.ACKNOWLEDGED
    actor = f"recipient:{row['recipient_id']}" if is_acknowledged else ACTOR
    detail = recipient_notices.detail(row) if is_acknowledged else {**recipient_notices.detail(row), "reason": reason}
    with writing(engine) as connection:
        matching = update(TABLE).where(outgoing.unsettled(TABLE, row, is_done=is_acknowledged))
        if not connection.execute(matching.values(**ended)).rowcount:
            return
        audit.record(connection, f"notice.{state}", actor=actor, export_id=row["export_id"], detail=detail)
    if not is_acknowledged:
        incidents.count(engine, Incident.NOTICE_FAILED)
        log.warning("inform.gave_up", code=reason, **outgoing.named(row, "notice"))


def _back_off(engine: Engine, settings: Settings, row: RowMapping, code: str) -> None:
    """Try again later, whatever was wrong: the recipient may get other addresses or keys; or give up."""
    log.warning("inform.refused", code=code, attempt=row["attempts"], **outgoing.named(row, "notice"))
    if code == acknowledgements.GONE or row["age_seconds"] > GIVE_UP_SECONDS:
        _settle(engine, row, NoticeState.FAILED, reason=code)
        return
    outgoing.postpone(engine, settings, TABLE, row, code, TABLE.c.recipient_id == row["recipient_id"])
