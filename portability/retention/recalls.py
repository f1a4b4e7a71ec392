"""Recalls: an archive went, or may go, to the wrong person. All delivery ends, and legal deadlines start (R48)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.errors import ReasonRequired, UnknownRecall
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import exports
from portability.requests.earlier_revisions import FIRST
from portability.requests.states import RECALLABLE, ExportState, TransferState
from portability.requests.transition import end_delivery, transition
from portability.trust import audit

TABLE = models.recall
GDPR_HOURS = 72
"""Deadline to notify the supervisory authority (GDPR Art. 33)."""
PDP_DAYS = 3
"""Deadline to notify the person and the authority, 3 x 24 hours (UU PDP Art. 46)."""


def had_archive(row: Mapping[Any, Any]) -> bool:
    """Return whether an export is or was an archive that can have reached the wrong person.

    A later revision of an archive is open while what is missing is fetched. A recalled copy is no longer one.
    """
    if row["state"] in RECALLABLE:
        return bool(row["state"] == ExportState.READY or row["revision"] > FIRST)
    return bool(row["state"] == ExportState.EXPIRED)


def recall(connection: Connection, export_id: str, *, reason: str, actor: str) -> str:
    """Close every link, end the export permanently and open a breach record; returns the record's id.

    The clock then deletes the objects (worker/write/withdraw.py). An export that had already ended only gets its
    record: copies that were downloaded cannot be recalled. While a record with the same reason is open, a further call
    returns that record and changes nothing: a form that is sent twice starts no second deadline.

    Raises: UnknownExport, ReasonRequired.
    """
    if not reason.strip():
        raise ReasonRequired("a recall needs a reason: what went wrong")
    row = exports.lock(connection, export_id)
    same = (TABLE.c.export_id == export_id, TABLE.c.reason == reason.strip(), TABLE.c.closed_at.is_(None))
    if known := connection.scalar(select(TABLE.c.id).where(*same).order_by(TABLE.c.opened_at).limit(1)):
        return str(known)
    opened_at = connection.execute(select(now())).scalar_one()
    identifier = f"rec_{secrets.token_hex(10)}"
    values = {"id": identifier, "export_id": export_id, "reason": reason.strip(), "opened_by": actor}
    clocks = {
        "opened_at": opened_at,
        "gdpr_due_at": opened_at + timedelta(hours=GDPR_HOURS),
        "pdp_due_at": opened_at + timedelta(days=PDP_DAYS),
    }
    connection.execute(insert(TABLE).values(**values, **clocks))
    outbox.queue(connection, MessageKind.RECALLED, export_id, occasion=identifier)
    detail: audit.Detail = {"recall": identifier}
    if row["state"] in RECALLABLE:
        transition(connection, row, ExportState.RECALLED, actor=actor, detail=detail)
        return identifier
    ended = end_delivery(connection, export_id, TransferState.REVOKED, actor=actor)
    ended.record(connection, TransferState.REVOKED, actor=actor)
    detail = {**detail, "links": len(ended.links)}
    audit.record(connection, "export.recalled", actor=actor, export_id=export_id, detail=detail)
    return identifier


def close(connection: Connection, recall_id: str, *, outcome: str, actor: str) -> None:
    """Close a breach record with its outcome. Raises UnknownRecall, ReasonRequired."""
    if not outcome.strip():
        raise ReasonRequired("closing a recall needs its outcome: who was notified, and when")
    ended = update(TABLE).where(TABLE.c.id == recall_id, TABLE.c.closed_at.is_(None))
    values = {"closed_at": now(), "closed_by": actor, "outcome": outcome.strip()}
    row = connection.execute(ended.values(**values).returning(TABLE.c.export_id)).one_or_none()
    if row is None:
        raise UnknownRecall(f"no open recall has the id {recall_id!r}")
    audit.record(connection, "recall.closed", actor=actor, export_id=row.export_id, detail={"recall": recall_id})


def rows(connection: Connection, *, open_only: bool = False) -> Sequence[RowMapping]:
    """Return all breach records, oldest first."""
    query = select(TABLE).order_by(TABLE.c.opened_at, TABLE.c.id)
    return connection.execute(query.where(TABLE.c.closed_at.is_(None)) if open_only else query).mappings().all()


def view(row: RowMapping) -> dict[str, JSON]:
    """Return a breach record as JSON."""
    names = ("id", "export_id", "reason", "opened_by", "closed_by", "outcome")
    times = ("opened_at", "gdpr_due_at", "pdp_due_at", "closed_at")
    return {**{name: row[name] for name in names}, **{name: rfc3339(row[name]) for name in times}}
