"""Inform recipients of changes: each notice is posted until its recipient has acknowledged it by signature (ADR 56).

Several clocks may run. `webhook-id` is the same at every attempt, so that a recipient can recognise duplicates.
"""

from __future__ import annotations

import threading

import structlog
from sqlalchemy import ColumnElement, Engine, RowMapping, and_, or_, select, update

from portability.api.errors import PortabilityError
from portability.database import history, incidents, models
from portability.database.engine import elapsed_seconds, now, reading, writing
from portability.database.incidents import Incident
from portability.messages import recipient_notices
from portability.messages.recipient_notices import NoticeState
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.transfers import acknowledgements
from portability.trust import audit
from worker.clock.webhook_delivery import LEASE_SECONDS, wait_seconds

log = structlog.get_logger()
TABLE, RECIPIENT = models.recipient_notice, models.recipient
ACTOR = "clock"
GIVE_UP_SECONDS = 30 * 86_400
"""As long as a receipt is accepted."""
ADDRESS = ("domain", "jwks_url", "webhook_url", "webhook_kid")
"""Columns of a recipient. Those of a removed recipient too: it still has the data."""


def run(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Send what is due until stopped; while a service is down, wait."""
    client = SafeHttpClient.of(settings)
    while not stop.is_set():
        try:
            while inform(engine, settings, client) and not stop.is_set():
                pass
        except PortabilityError as error:
            log.warning("inform.waits", code=error.code)
        except Exception as error:
            log.exception("inform.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def inform(engine: Engine, settings: Settings, client: SafeHttpClient) -> bool:
    """Send the next notice that is due; returns whether there was one. Raises DatabaseUnavailable."""
    row = claim(engine)
    if row is None:
        return False
    to = {"id": row["recipient_id"], **{name: row[name] for name in ADDRESS}}
    try:
        token, fault = acknowledgements.post(client, settings, row, to)
    except PortabilityError as error:
        token, fault = None, error.code
    if token is not None:
        _settle(engine, row, NoticeState.ACKNOWLEDGED, token=token)
        log.info("inform.acknowledged", notice=row["id"], transfer=row["transfer_id"])
    else:
        _back_off(engine, settings, row, str(fault))
    return True


def claim(engine: Engine) -> RowMapping | None:
    """Take the next notice, with its recipient's addresses, or None."""
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
        joined = TABLE.join(RECIPIENT, RECIPIENT.c.id == TABLE.c.recipient_id)
        query = select(TABLE, age, *(RECIPIENT.c[name] for name in ADDRESS)).select_from(joined)
        return connection.execute(query.where(TABLE.c.id == identifier)).mappings().one()


def _due() -> ColumnElement[bool]:
    free = or_(TABLE.c.lease_until.is_(None), TABLE.c.lease_until < now())
    rested = or_(TABLE.c.not_before.is_(None), TABLE.c.not_before <= now())
    return and_(TABLE.c.state == NoticeState.QUEUED, free, rested)


def _settle(
    engine: Engine, row: RowMapping, state: NoticeState, *, token: str | None = None, reason: str | None = None
) -> None:
    """Settle a notice, with the recipient's acknowledgement or the reason why it is given up."""
    ended = {"state": state, "reason": reason, "acknowledgement": token, "lease_until": None, "settled_at": now()}
    is_acknowledged = state is NoticeState.ACKNOWLEDGED
    actor = f"recipient:{row['recipient_id']}" if is_acknowledged else ACTOR
    detail = recipient_notices.detail(row) if is_acknowledged else {**recipient_notices.detail(row), "reason": reason}
    with writing(engine) as connection:
        matching = update(TABLE).where(TABLE.c.id == row["id"], TABLE.c.state == NoticeState.QUEUED)
        if not connection.execute(matching.values(**ended)).rowcount:
            return
        audit.record(connection, f"notice.{state}", actor=actor, export_id=row["export_id"], detail=detail)
    if not is_acknowledged:
        incidents.count(engine, Incident.NOTICE_FAILED)
        log.warning("inform.gave_up", notice=row["id"], code=reason)


def _back_off(engine: Engine, settings: Settings, row: RowMapping, code: str) -> None:
    """Try again later, whatever was wrong: the recipient may get other addresses or keys; or give up."""
    log.warning("inform.refused", notice=row["id"], code=code, attempt=row["attempts"])
    if code == acknowledgements.GONE or row["age_seconds"] > GIVE_UP_SECONDS:
        _settle(engine, row, NoticeState.FAILED, reason=code)
        return
    matching = (TABLE.c.id == row["id"], TABLE.c.attempts == row["attempts"], TABLE.c.state == NoticeState.QUEUED)
    later = {"lease_until": None, "not_before": now(wait_seconds(settings, row["attempts"])), "reason": code}
    with writing(engine) as connection:
        connection.execute(update(TABLE).where(*matching).values(**later))
