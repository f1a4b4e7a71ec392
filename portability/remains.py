"""What remains of an export whose subject was erased, and what when its record is purged (R50).

Erased, its row stays as an anonymous line of the request log: when, what kind, on which way, how it was answered and on
what basis it was refused. Whatever points at it and tells more is deleted, tables that come later included.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, case, delete, func, select, update

from portability import models
from portability.db import now
from portability.states import ExportState

EXPORT, APPROVAL, TRAIL = models.export, models.approval, models.deadline_event
KEPT = frozenset({APPROVAL, models.recall, models.attestation, models.deleted_volume, TRAIL})
"""Who decided what, what went wrong, and what was deleted: accountability (GDPR Art. 5(2), 33(5)). Without words."""

ENDED = (ExportState.FAILED, ExportState.CANCELLED, ExportState.DENIED, ExportState.RECALLED, ExportState.EXPIRED)
"""States in which nothing is delivered, and nothing happens unless somebody asks for it."""


def strip(connection: Connection, row: RowMapping) -> None:
    """Leave nothing of a locked export, whose objects are gone, but its anonymous line."""
    below(connection, EXPORT.c.id == row["id"], keep=KEPT)
    nobody = {"subject_id": "", "subject_ref": "", "reason": None, "mandate_id": None, "error_message": None}
    values: dict[str, Any] = {
        **nobody,
        "pseudonym_key": None,
        "requested_by": role(row["requested_by"]),
        "erased_at": now(),
    }
    if row["subject_kind"] == "tenant":
        values["tenant"] = None
    connection.execute(update(EXPORT).where(EXPORT.c.id == row["id"]).values(**values))
    mine = update(APPROVAL).where(APPROVAL.c.export_id == row["id"])
    connection.execute(mine.values(reason=None, asked_by=_role_of(APPROVAL.c.asked_by)))
    extended = update(TRAIL).where(TRAIL.c.export_id == row["id"], TRAIL.c.kind == "extended")
    connection.execute(extended.values(reason=""))


def bury(connection: Connection, export_id: str) -> None:
    """Leave nothing at all."""
    below(connection, EXPORT.c.id == export_id)
    connection.execute(delete(EXPORT).where(EXPORT.c.id == export_id))


def below(
    connection: Connection, which: ColumnElement[bool], *, table: Table = EXPORT, keep: Collection[Table] = ()
) -> None:
    """Delete what points at some rows, and what points at that."""
    for child in models.metadata.sorted_tables:
        for key in child.foreign_keys:
            if key.column.table is table and child not in keep:
                theirs = key.parent.in_(select(key.column).where(which))
                below(connection, theirs, table=child, keep=keep)
                connection.execute(delete(child).where(theirs))


def role(actor: str) -> str:
    """Of an actor, without who it is."""
    return actor.partition(":")[0]


def _role_of(column: ColumnElement[str]) -> ColumnElement[str]:
    """The same in the database, of subjects alone: staff answer for what they do."""
    return case((func.substr(column, 1, len("subject:")) == "subject:", "subject"), else_=column)
