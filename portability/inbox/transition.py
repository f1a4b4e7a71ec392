"""The only writer of states of received transfers (portability/inbox/states.py).

The event in the audit log, the message to the person and the receipt to the sender are in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, update

from portability.database import models
from portability.database.engine import now
from portability.errors import WrongState
from portability.inbox.states import RECEIVED, ReceiptState, ReceivedState
from portability.messages import outbox
from portability.trust import audit

TABLE, DIFFERENCE = models.received_transfer, models.received_difference
RELEASED: Mapping[str, Any] = {"token": None, "lease_until": None, "attempts": 0}


def transition(
    connection: Connection,
    row: Mapping[Any, Any],
    to: ReceivedState,
    *,
    actor: str,
    detail: audit.Detail | None = None,
    columns: Mapping[str, Any] | None = None,
) -> None:
    """Move a received transfer to another state, with all consequences.

    Args:
        connection: the caller's transaction.
        row: of the transfer; for a process with the token of its claim.
        to: the next state.
        actor: who makes the change, for the audit log.
        detail: details of the event: opaque ids, codes and counts.
        columns: other columns of the row to change.

    Raises: WrongState if the transition is not allowed, or the transfer has changed since it was read.
    """
    before, meaning = ReceivedState(row["state"]), RECEIVED[to]
    if to not in RECEIVED[before].next:
        raise WrongState(f"received transfer {row['id']} is {before}: it cannot become {to}")
    changed = dict(columns or {})
    values = {"state": to, **RELEASED, "not_before": now(), **_entering({**row, **changed}, to), **changed}
    same = (TABLE.c.id == row["id"], TABLE.c.state == before, TABLE.c.token.is_not_distinct_from(row["token"]))
    if not connection.execute(update(TABLE).where(*same).values(**values)).rowcount:
        raise WrongState(f"received transfer {row['id']} has changed since it was read")
    if not meaning.shows_difference:
        connection.execute(delete(DIFFERENCE).where(DIFFERENCE.c.received_id == row["id"]))
    # A change without event leads back: the person has heard of that state.
    if (event := RECEIVED[before].next[to]) is not None:
        if meaning.message is not None:
            outbox.queue_received(connection, meaning.message, row["id"], row["subject_kind"])
        content: audit.Detail = {"received": row["id"], "sender": row["sender_id"], **(detail or {})}
        audit.record(connection, event, actor=actor, detail=content)


def _entering(row: Mapping[Any, Any], to: ReceivedState) -> Mapping[str, Any]:
    """Return the columns that follow from the state."""
    meaning = RECEIVED[to]
    values: dict[str, Any] = {} if meaning.has_link else {"sealed": None}
    if meaning.is_ended:
        values["ended_at"] = now()
    # Without a statement there is nothing to receipt; one receipt is enough.
    if meaning.receipt and row["statement"] and not row["receipt"]:
        values["receipt"] = ReceiptState.QUEUED
    return values
