"""The work of the receiving service: which received transfer is next, under a lease, and what becomes of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, func, literal, or_, select, update

from portability.database import deployment, leases, models
from portability.database.engine import elapsed_seconds, now, writing
from portability.inbox import received
from portability.inbox.states import QUARANTINED, UNDECIDED, WORK, ReceiptState, ReceivedState
from portability.inbox.transition import transition
from portability.trust import audit

TABLE = models.received_transfer
ACTOR = "inbox"
DAY_SECONDS = 86_400
BACKOFF_MAX_SECONDS = 3600
FAILING_ATTEMPTS = 10
"""Attempts at one step, which take a quarter of an hour at least."""
REPEATED_TRIES = 3
RECEIPTED_SECONDS = 30 * DAY_SECONDS
"""How long after the offer a sender accepts a receipt."""


def claim(engine: Engine, lease_seconds: float) -> RowMapping | None:
    """Take the next received transfer that has something to do; None if nothing is due.

    Raises: DatabaseUnavailable, DatabaseBehind.
    """
    token = secrets.token_hex(16)
    return leases.take(engine, TABLE, _due(), lease_seconds, received.with_sender(), token=token)


def renew(engine: Engine, row: Mapping[Any, Any], lease_seconds: float) -> bool:
    """Extend the lease of a claim; returns False if it is lost, or the transfer's state has changed."""
    with writing(engine) as connection:
        extended = update(TABLE).where(*_same(row)).values(lease_until=now(lease_seconds))
        return bool(connection.execute(extended).rowcount)


def postpone(engine: Engine, row: Mapping[Any, Any], code: str, backoff_seconds: float) -> None:
    """Release a claim and try again later: the wait doubles, up to an hour."""
    wait_seconds = leases.backoff_seconds(backoff_seconds, row["attempts"], BACKOFF_MAX_SECONDS)
    # The code of a refusal stays: its receipt states it.
    known = row["error_code"] if row["state"] == ReceivedState.REFUSED else code
    later = {"lease_until": None, "token": None, "not_before": now(wait_seconds), "error_code": known}
    with writing(engine) as connection:
        connection.execute(update(TABLE).where(*_same(row)).values(**later))


def note_report(engine: Engine, row: Mapping[Any, Any], report: Mapping[str, Any]) -> None:
    """Store what a step has done, before it can no longer be found out: the process may be killed in between."""
    with writing(engine) as connection:
        connection.execute(update(TABLE).where(*_same(row)).values(report=dict(report)))


def settle_receipt(engine: Engine, row: Mapping[Any, Any], state: ReceiptState, code: str | None = None) -> None:
    """Record that the sender has accepted the receipt, or will not."""
    rested = {"lease_until": None, "token": None, "not_before": None, "attempts": 0}
    with writing(engine) as connection:
        settled = update(TABLE).where(*_same(row), TABLE.c.receipt == ReceiptState.QUEUED)
        is_answered = state is ReceiptState.SENT and row["state"] != ReceivedState.REFUSED
        known = None if is_answered else row["error_code"]
        values = {**rested, "receipt": state, "receipted_at": now(), "error_code": known}
        if connection.execute(settled.values(**values)).rowcount:
            detail: audit.Detail = {"received": row["id"], "sender": row["sender_id"], "code": code}
            event = "received.receipted" if state is ReceiptState.SENT else "received.receipt_failed"
            audit.record(connection, event, actor=ACTOR, detail=detail)


def is_too_late(engine: Engine, row: Mapping[Any, Any]) -> bool:
    """Return whether the sender takes no receipt any more. Raises DatabaseUnavailable."""
    age: timedelta = deployment.clock(engine) - row["created_at"]
    return age > timedelta(seconds=RECEIPTED_SECONDS)


def expire(connection: Connection, days: int) -> int:
    """End offers that were not fetched in time, and transfers that no officer has decided on; returns how many."""
    unfetched = and_(
        TABLE.c.state == ReceivedState.OFFERED, TABLE.c.offer_ends_at < now(-DAY_SECONDS), leases.is_free(TABLE)
    )
    undecided = and_(TABLE.c.state.in_(UNDECIDED), TABLE.c.fetched_at < now(-days * DAY_SECONDS))
    found = connection.execute(select(TABLE).where(or_(unfetched, undecided)).with_for_update()).mappings().all()
    for row in found:
        transition(connection, row, ReceivedState.EXPIRED, actor=ACTOR)
    return len(found)


def quarantined(connection: Connection) -> frozenset[str]:
    """Return the ids of received transfers whose files are kept."""
    return frozenset(connection.scalars(select(TABLE.c.id).where(TABLE.c.state.in_(QUARANTINED))))


def repeated(connection: Connection) -> Mapping[str, int]:
    """Return how many received transfers have failed at their step again and again, by the code of the last failure.

    The code is empty where the process has died each time.
    """
    code, failing = func.coalesce(TABLE.c.error_code, ""), TABLE.c.attempts >= REPEATED_TRIES
    query = select(code, func.count()).where(TABLE.c.state.in_(WORK), failing).group_by(code).order_by(code)
    return dict(map(tuple, connection.execute(query)))


def oldest_due_seconds(connection: Connection) -> float:
    """Return for how many seconds the oldest received transfer with something to do has waited; 0 if none waits."""
    since = func.min(TABLE.c.not_before)  # set by each change of state and each failure
    return max(0.0, connection.scalar(select(elapsed_seconds(since, now())).where(_due())) or 0.0)


def failing(connection: Connection) -> int:
    """Return how many received transfers have a step that has failed again and again."""
    query = select(func.count()).where(TABLE.c.state.in_(WORK), TABLE.c.attempts >= FAILING_ATTEMPTS)
    return connection.execute(query).scalar_one()


def has_work() -> ColumnElement[bool]:
    """Return the condition for received transfers with a step or a receipt to come."""
    # As a literal: a parameter would hide the partial index from the planner.
    is_receipt_due = TABLE.c.receipt == literal(str(ReceiptState.QUEUED), literal_execute=True)
    return or_(TABLE.c.state.in_(WORK), is_receipt_due)


def _due() -> ColumnElement[bool]:
    return and_(has_work(), leases.is_available(TABLE))


def _same(row: Mapping[Any, Any]) -> tuple[ColumnElement[bool], ...]:
    return TABLE.c.id == row["id"], TABLE.c.token == row["token"], TABLE.c.state == row["state"]
