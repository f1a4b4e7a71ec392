"""How transfers end before their time: taken back, over, or with their export. First the state, then the link."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, case, select, update

from portability import audit, models
from portability.db import now
from portability.states import TRANSFER_LIVE, TransferState

TABLE, LINK, HOOK = models.transfer, models.link, models.webhook
Ended = Sequence[tuple[str, str]]
"""Ids of transfers and of their exports."""


def end(connection: Connection, which: ColumnElement[bool], state: TransferState, *, actor: str) -> int:
    """End transfers in the caller's transaction, with the log; returns how many there were to end."""
    ended = halt(connection, which, state, actor=actor)
    tell(connection, ended, state, actor=actor)
    return len(ended)


def halt(connection: Connection, which: ColumnElement[bool], state: TransferState, *, actor: str) -> Ended:
    """End them without the log, for whoever has more to lock before it.

    A worker that encrypts one sees it at its next block. One that was delivered stays so: its link ends, and its copies
    are not kept any longer.
    """
    query = select(TABLE.c.id, TABLE.c.export_id, TABLE.c.state).where(which).order_by(TABLE.c.id).with_for_update()
    found = connection.execute(query).mappings().all()
    ids = [row["id"] for row in found]
    is_live = TABLE.c.state.in_(TRANSFER_LIVE)
    # In one statement: a second one would have PostgreSQL look at the export's row, which may be locked by another.
    gone = (
        update(TABLE)
        .where(TABLE.c.id.in_(ids))
        .values(
            state=case((is_live, state), else_=TABLE.c.state),
            ended_at=case((is_live, now()), else_=TABLE.c.ended_at),
            expires_at=case((TABLE.c.expires_at > now(), now()), else_=TABLE.c.expires_at),
            owner=None,
            lease_until=None,
        )
    )
    connection.execute(gone)
    _close_links(connection, ids, actor=actor)
    return [(row["id"], row["export_id"]) for row in found if row["state"] in TRANSFER_LIVE]


def tell(connection: Connection, ended: Ended, state: TransferState, *, actor: str) -> None:
    """Write down what was halted."""
    for transfer_id, export_id in ended:
        detail: audit.Detail = {"transfer": transfer_id}
        audit.record(connection, f"transfer.{state}", actor=actor, export_id=export_id, detail=detail)


def _close_links(connection: Connection, ids: Sequence[str], *, actor: str) -> None:
    """Nobody downloads them any more, and nobody is told of them."""
    living = update(LINK).where(LINK.c.transfer_id.in_(ids), LINK.c.revoked_at.is_(None))
    connection.execute(living.values(revoked_at=now(), revoked_by=actor))
    waiting = update(HOOK).where(HOOK.c.transfer_id.in_(ids), HOOK.c.state == "queued")
    connection.execute(waiting.values(state="dropped", sealed=None, lease_until=None))
