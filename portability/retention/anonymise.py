"""Anonymises an export whose subject was erased, and deletes it when its record is purged (R50).

After erasure its row stays as an anonymous line of the request log: when, which kind, by which channel, how it was
answered and on which basis it was refused. All rows that refer to it and say more are deleted, also in later tables.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, case, delete, func, select, update

from portability.database import models
from portability.database.engine import now

EXPORT, APPROVAL, TRAIL = models.export, models.approval, models.deadline_event
NOTICE = models.recipient_notice
KEPT = frozenset({APPROVAL, models.recall, models.attestation, models.deleted_volume, TRAIL})
"""Events kept for accountability: decisions, errors and deletions (GDPR Art. 5(2), 33(5)). Without free text."""


def strip(connection: Connection, row: RowMapping) -> None:
    """Remove everything but the anonymous line of a locked export whose objects are deleted."""
    below(connection, EXPORT.c.id == row["id"], keep=KEPT)
    without_person = {"subject_id": "", "subject_ref": "", "reason": None, "mandate_id": None, "error_message": None}
    without_person |= {"residence": None, "language": None}
    values: dict[str, Any] = {
        **without_person,
        "pseudonym_key": None,
        "requested_by": role(row["requested_by"]),
        "requested_identity": None,
        "erased_at": now(),
    }
    if row["subject_kind"] == "tenant":
        values["tenant"] = None
    connection.execute(update(EXPORT).where(EXPORT.c.id == row["id"]).values(**values))
    statement = update(APPROVAL).where(APPROVAL.c.export_id == row["id"])
    identity = case((_is_subject(APPROVAL.c.asked_by), None), else_=APPROVAL.c.asked_identity)
    values = {"reason": None, "asked_by": _role_of(APPROVAL.c.asked_by), "asked_identity": identity}
    connection.execute(statement.values(**values))
    extended = update(TRAIL).where(TRAIL.c.export_id == row["id"], TRAIL.c.kind.in_(("extended", "prolonged")))
    connection.execute(extended.values(reason=""))


def delete_record(connection: Connection, export_id: str) -> None:
    """Delete an export's record completely, and the notices about its transfers, which no foreign key connects."""
    connection.execute(delete(NOTICE).where(NOTICE.c.export_id == export_id))
    below(connection, EXPORT.c.id == export_id)
    connection.execute(delete(EXPORT).where(EXPORT.c.id == export_id))


def below(
    connection: Connection, which: ColumnElement[bool], *, table: Table = EXPORT, keep: Collection[Table] = ()
) -> None:
    """Delete the rows that refer to some rows, and the rows that refer to those."""
    for child in models.metadata.sorted_tables:
        for key in child.foreign_keys:
            if key.column.table is table and child not in keep:
                children = key.parent.in_(select(key.column).where(which))
                below(connection, children, table=child, keep=keep)
                connection.execute(delete(child).where(children))


def role(actor: str) -> str:
    """Return the role of an actor, without the id."""
    return actor.partition(":")[0]


def _role_of(column: ColumnElement[str]) -> ColumnElement[str]:
    """Return the same in SQL, for subjects only: members of staff stay accountable."""
    return case((_is_subject(column), "subject"), else_=column)


def _is_subject(column: ColumnElement[str]) -> ColumnElement[bool]:
    return func.substr(column, 1, len("subject:")) == "subject:"
