"""Notices to recipients: what became of a transfer's data after it was sent (GDPR Art. 19, ADR 56).

A notice is a row that is written in the transaction of the change. The clock posts it as a webhook until the recipient
has acknowledged it by signature. It contains ids, a kind and times, so it stays when an erasure deletes the transfer.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.database.rows import insert_row, inserting
from portability.trust import audit

TABLE, TRANSFER = models.recipient_notice, models.transfer


class NoticeKind(StrEnum):
    """What a recipient is informed of; the type of the webhook is `transfer.<kind>`."""

    WITHDRAWN = "withdrawn"
    """The consent or the transfer was revoked."""
    EXPIRED = "expired"
    """The offer has ended without a receipt."""
    RECTIFIED = "rectified"
    """A later revision of the export has corrected or completed data."""
    ERASED = "erased"
    """The subject's data was erased."""


class NoticeState(StrEnum):
    """The state of a notice."""

    QUEUED = "queued"
    ACKNOWLEDGED = "acknowledged"
    """The recipient has signed that it has received it."""
    FAILED = "failed"
    """Given up, with a reason."""


def fetched() -> ColumnElement[bool]:
    """Return the condition for transfers of which the recipient may have data: a download begun, or a receipt."""
    link, claim, receipt = models.link, models.link_claim, models.transfer_receipt
    begun = select(claim.c.id).join(link, link.c.id == claim.c.link_id).where(link.c.transfer_id == TRANSFER.c.id)
    answered = select(receipt.c.id).where(receipt.c.transfer_id == TRANSFER.c.id)
    return or_(begun.exists(), answered.exists())


def queue(
    connection: Connection, kind: NoticeKind, which: ColumnElement[bool], *, revision: int = 0
) -> Sequence[RowMapping]:
    """Queue a notice about each of these transfers; a second call for the same change adds none.

    `record` writes the events of the returned new notices, after everything else in the transaction is locked.

    Args:
        connection: the transaction of the change.
        kind: what has changed.
        which: the condition for transfers, which the caller has locked, or whose export it has locked.
        revision: of the export, if its data was rectified: each revision has a notice.
    """
    columns = (TRANSFER.c.id.label("transfer_id"), TRANSFER.c.export_id, TRANSFER.c.recipient_id)
    new: list[RowMapping] = []
    for row in connection.execute(select(*columns).where(which).order_by(TRANSFER.c.id)).mappings().all():
        values = {**row, "id": f"ntc_{secrets.token_hex(10)}", "kind": kind, "revision": revision, "attempts": 0}
        once = inserting(connection, TABLE).on_conflict_do_nothing().returning(TABLE)
        values |= {"state": NoticeState.QUEUED, "created_at": now()}
        new += insert_row(connection, once, values).mappings().all()
    return new


def record(connection: Connection, notices: Sequence[Mapping[Any, Any]], *, actor: str) -> None:
    """Write the events of new notices."""
    for row in notices:
        audit.record(connection, "notice.queued", actor=actor, export_id=row["export_id"], detail=detail(row))


def detail(row: Mapping[Any, Any]) -> audit.Detail:
    """Return the details of a notice's events."""
    return {"notice": row["id"], "transfer": row["transfer_id"], "kind": row["kind"]}


def content(row: Mapping[Any, Any], *, issuer: str, audience: str) -> bytes:
    """Return the body of the webhook: the same bytes at every attempt."""
    data: dict[str, JSON] = {"notice": row["id"], "transfer": row["transfer_id"]}
    data |= {"issuer": issuer, "audience": audience}
    if row["kind"] == NoticeKind.RECTIFIED:
        data["revision"] = row["revision"]
    return orjson.dumps({"type": f"transfer.{row['kind']}", "timestamp": rfc3339(row["created_at"]), "data": data})


def rows(
    connection: Connection,
    *,
    transfer_id: str | None = None,
    recipient_ids: Collection[str] | None = None,
    state: str | None = None,
) -> Sequence[RowMapping]:
    """Return notices, oldest first: all, those about a transfer, to some recipients, or in a state."""
    query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)
    if transfer_id is not None:
        query = query.where(TABLE.c.transfer_id == transfer_id)
    if recipient_ids is not None:
        query = query.where(TABLE.c.recipient_id.in_(recipient_ids))
    if state is not None:
        query = query.where(TABLE.c.state == state)
    return connection.execute(query).mappings().all()


def unsettled(export_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition: a notice about a transfer of this export is still to be sent."""
    waiting = (TABLE.c.export_id == export_id, TABLE.c.state == NoticeState.QUEUED)
    return select(TABLE.c.id).where(*waiting).exists()


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a notice as JSON; its acknowledgement is the recipient's JWS."""
    about = ("id", "export_id", "transfer_id", "recipient_id", "kind", "revision")
    names = (*about, "state", "reason", "attempts", "acknowledgement")
    times = ("created_at", "settled_at")
    return {**{name: row[name] for name in names}, **{name: rfc3339(row[name]) for name in times}}
