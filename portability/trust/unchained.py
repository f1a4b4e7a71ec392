"""Events that are recorded and not in the chain of the audit log yet, as there may be for a moment (docs/audit.md)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, exists, null, select, union_all

from portability.database import models

EVENT, UNCHAINED, EXPORT = models.audit_event, models.audit_unchained, models.export


def is_unchained(subject_ref: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition: events of a subject's exports are not in the chain yet."""
    own = EXPORT.alias()
    exports = select(own.c.id).where(own.c.subject_ref == subject_ref).correlate(subject_ref.table)
    return exists().where(UNCHAINED.c.export_id.in_(exports)).correlate(subject_ref.table)


def has_unchained(connection: Connection) -> bool:
    """Return whether recorded events are not in the chain yet."""
    return bool(connection.scalar(select(exists(select(UNCHAINED.c.id)))))


def ids_of(connection: Connection, entries: Sequence[str]) -> Sequence[int | None]:
    """Return the ids of the events with these entries, None for each that is not in the chain yet.

    An entry that the database does not have is left out.
    """
    # One statement, so that an event that is chained meanwhile is found once.
    both = union_all(
        select(EVENT.c.id).where(EVENT.c.entry.in_(entries)),
        select(cast(null(), BigInteger)).select_from(UNCHAINED).where(UNCHAINED.c.entry.in_(entries)),
    )
    return connection.scalars(both).all()
