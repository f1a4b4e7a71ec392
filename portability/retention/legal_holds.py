"""Legal holds: nothing of a subject is erased or purged before the hold ends (GDPR Art. 17(3)(b), (e); R8)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import now
from portability.errors import BadDate, ReasonRequired, UnknownHold
from portability.people import subject_locks, subjects
from portability.trust import audit

TABLE = models.legal_hold


def add(
    connection: Connection,
    *,
    subject: str,
    tenant: str | None,
    reason: str,
    actor: str,
    until: datetime | None = None,
) -> str:
    """Put a subject under legal hold; returns the hold's id. Without `until` it lasts until it is released.

    An identical active hold of the same actor is not recorded again: a command is repeated if its answer was lost.

    Raises: BadSubject; ReasonRequired; BadDate for an end in the past; ErasureRunning.
    """
    kind, identifier, owner = subjects.parse(subject, tenant)
    if not reason.strip():
        raise ReasonRequired("a legal hold needs a reason: the case and its reference")
    if until is not None and until <= deployment.clock_of(connection):
        raise BadDate("the end of a legal hold must be in the future")
    subject_locks.exclude_erasure(connection, (kind, identifier, owner))
    whom = {"subject_kind": kind, "subject_id": identifier, "tenant": owner}
    values = {"reason": reason.strip(), "created_by": actor, "until": until}
    if identical := _identical(connection, {**whom, **values}):
        return identical
    ref = subjects.pairwise_ref(connection, kind, identifier, owner)
    hold_id = f"hld_{secrets.token_hex(10)}"
    connection.execute(insert(TABLE).values(id=hold_id, **whom, **values, created_at=now()))
    audit.record(connection, "hold.added", actor=actor, detail={"hold": hold_id, "subject": ref})
    return hold_id


def _identical(connection: Connection, values: Mapping[str, object]) -> str | None:
    """Return the id of an active hold with these values; None: there is no such hold."""
    same = (TABLE.c[name].is_not_distinct_from(value) for name, value in values.items())
    return connection.scalar(select(TABLE.c.id).where(*same, subject_locks.stands()).limit(1))


def release(connection: Connection, hold_id: str, *, actor: str) -> None:
    """Release a hold. Raises UnknownHold, also for a released one."""
    ended = update(TABLE).where(TABLE.c.id == hold_id, TABLE.c.released_at.is_(None))
    if connection.execute(ended.values(released_at=now(), released_by=actor)).rowcount == 0:
        raise UnknownHold(f"no active legal hold has the id {hold_id!r}")
    audit.record(connection, "hold.released", actor=actor, detail={"hold": hold_id})


def rows(connection: Connection) -> Sequence[RowMapping]:
    """Return all holds, ended holds too, oldest first; `stands` says whether it is active."""
    query = select(TABLE, subject_locks.stands().label("stands")).order_by(TABLE.c.created_at, TABLE.c.id)
    return connection.execute(query).mappings().all()


def view(connection: Connection, row: RowMapping) -> dict[str, JSON]:
    """Return a hold as JSON: the subject by its pseudonym."""
    ref = subjects.pairwise_ref(connection, row["subject_kind"], row["subject_id"], row["tenant"])
    names, times = ("id", "subject_kind", "reason", "created_by", "released_by"), ("created_at", "until", "released_at")
    content: dict[str, JSON] = {name: row[name] for name in names}
    return {**content, "subject": ref, "stands": bool(row["stands"]), **{name: rfc3339(row[name]) for name in times}}
