"""Recalls: an archive that went, or may go, to the wrong person. All ends at once, and the clocks begin (R48)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, exports, links, models, pseudonyms, slices, transfer_ends
from portability.api import JSON
from portability.db import now
from portability.refusals import ReasonRequired, UnknownRecall
from portability.states import UNDECIDED, ExportState, TransferState

TABLE, EXPORT = models.recall, models.export
GDPR_HOURS = 72
"""To the supervisory authority (GDPR Art. 33)."""
PDP_DAYS = 3
"""To the person and the authority, 3 x 24 hours (UU PDP Art. 46)."""
DELIVERABLE = UNDECIDED | {ExportState.READY}
"""States of which something is out, or may still go out: also what nobody has begun."""


def recall(connection: Connection, export_id: str, *, reason: str, actor: str) -> str:
    """Close every link, end the export for good and open a breach record; returns the record's id.

    The clock deletes the objects at its next round (worker/withdraw.py). An export that ended before only gets its
    record: what was downloaded is out. Raises: UnknownExport, ReasonRequired.
    """
    if not reason.strip():
        raise ReasonRequired("a recall says what went wrong")
    row = exports.lock(connection, export_id)
    opened_at = connection.execute(select(now())).scalar_one()
    identifier = f"rec_{secrets.token_hex(10)}"
    if row["state"] in DELIVERABLE:
        ended = {"state": ExportState.RECALLED, "ended_at": opened_at}
        connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(**ended))
        slices.end_all(connection, export_id)
        pseudonyms.forget(connection, export_id)
    values = {"id": identifier, "export_id": export_id, "reason": reason.strip(), "opened_by": actor}
    clocks = {
        "opened_at": opened_at,
        "gdpr_due_at": opened_at + timedelta(hours=GDPR_HOURS),
        "pdp_due_at": opened_at + timedelta(days=PDP_DAYS),
    }
    connection.execute(insert(TABLE).values(**values, **clocks))
    sent = models.transfer.c.export_id == export_id
    stopped = transfer_ends.halt(connection, sent, TransferState.REVOKED, actor=actor)
    revoked = links.revoke_all(connection, export_id, actor=actor)
    transfer_ends.tell(connection, stopped, TransferState.REVOKED, actor=actor)
    detail: audit.Detail = {"recall": identifier, "links": revoked}
    audit.record(connection, "export.recalled", actor=actor, export_id=export_id, detail=detail)
    return identifier


def close(connection: Connection, recall_id: str, *, outcome: str, actor: str) -> None:
    """End a breach record with what came of it. Raises UnknownRecall, ReasonRequired."""
    if not outcome.strip():
        raise ReasonRequired("a recall is closed with its outcome: who was told, and when")
    ended = update(TABLE).where(TABLE.c.id == recall_id, TABLE.c.closed_at.is_(None))
    values = {"closed_at": now(), "closed_by": actor, "outcome": outcome.strip()}
    row = connection.execute(ended.values(**values).returning(TABLE.c.export_id)).one_or_none()
    if row is None:
        raise UnknownRecall(f"no open recall has the id {recall_id!r}")
    audit.record(connection, "recall.closed", actor=actor, export_id=row.export_id, detail={"recall": recall_id})


def rows(connection: Connection, *, open_only: bool = False) -> Sequence[RowMapping]:
    """All breach records, oldest first."""
    query = select(TABLE).order_by(TABLE.c.opened_at, TABLE.c.id)
    return connection.execute(query.where(TABLE.c.closed_at.is_(None)) if open_only else query).mappings().all()


def view(row: RowMapping) -> dict[str, JSON]:
    """A breach record as JSON."""
    names = ("id", "export_id", "reason", "opened_by", "closed_by", "outcome")
    times = ("opened_at", "gdpr_due_at", "pdp_due_at", "closed_at")
    return {**{name: row[name] for name in names}, **{name: exports.rfc3339(row[name]) for name in times}}
