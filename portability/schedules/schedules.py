"""Schedules as rows: their dates, which schedule a person has, what it asks for, and its end.

The first copy is requested when the schedule begins; then one copy is due every two calendar months.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability.api import SubjectKind
from portability.database import deployment, models
from portability.database.engine import now
from portability.law.deadlines import months_later
from portability.people import subject_locks, subjects
from portability.people.subject_locks import SubjectName
from portability.requests.acceptance import Request
from portability.requests.policy import Actor, ActorRole
from portability.trust import audit

TABLE = models.schedule
MONTHS = 2
"""From one copy to the next."""
COPIES = 6
"""In a year, with the first copy."""


class EndReason(StrEnum):
    """Why a schedule has ended."""

    STOPPED = "stopped"
    """By the person."""
    COMPLETE = "complete"
    """Its last copy was requested."""
    ACCOUNT_CLOSED = "account_closed"
    NOT_FOUND = "not_found"
    """No source knew the person when the last copy was made."""
    DENIED = "denied"
    """An officer has refused the last copy."""
    RECALLED = "recalled"
    """The last copy went, or may have gone, to the wrong person."""


def dates(begun_at: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield the dates of all copies, in UTC: at the time of day of the first copy, in the zone of the deployment."""
    local = begun_at.astimezone(zone)
    for number in range(COPIES):
        day = months_later(local.date(), number * MONTHS)
        yield datetime.combine(day, local.timetz()).astimezone(UTC)


def next_date(begun_at: datetime, zone: tzinfo, present: datetime) -> datetime | None:
    """Return the first date after `present`; None after the last. Dates that have passed are left out."""
    return next((each for each in dates(begun_at, zone) if each > present), None)


def last_date(begun_at: datetime, zone: tzinfo) -> datetime:
    """Return the date of the last copy."""
    return [*dates(begun_at, zone)][-1]


def standing(connection: Connection, whom: SubjectName) -> RowMapping | None:
    """Return the schedule of a person that has not ended: there is one at most."""
    query = select(TABLE).where(subject_locks.of(TABLE, *whom), TABLE.c.ended_at.is_(None))
    return connection.execute(query).mappings().one_or_none()


def add(connection: Connection, request: Request, export_id: str, zone: tzinfo, *, actor: Actor) -> str:
    """Insert the schedule of a request, whose first copy is this export; returns its id."""
    schedule_id = f"sch_{secrets.token_hex(10)}"
    ref = subjects.pairwise_ref(connection, request.subject_kind, request.subject_id, request.tenant)
    begun_at = deployment.clock_of(connection)
    values: dict[str, Any] = {
        "id": schedule_id,
        "profile": request.profile,
        "subject_kind": request.subject_kind,
        "subject_id": request.subject_id,
        "subject_ref": ref,
        "tenant": request.tenant,
        "include": list(request.include) if request.include else None,
        "formats": list(request.formats),
        "tell_tenants": request.tell_tenants,
        "language": request.language,
        "created_at": begun_at,
        "created_by": str(actor),
        "created_identity": actor.identity,
        "export_id": export_id,
        "next_at": next_date(begun_at, zone, begun_at),
    }
    connection.execute(insert(TABLE).values(**values))
    detail: audit.Detail = {"schedule": schedule_id, "subject": ref, "profile": request.profile}
    audit.record(connection, "schedule.begun", actor=str(actor), export_id=export_id, detail=detail)
    return schedule_id


def asked_again(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the arguments of `acceptance.check` by which the next copy is requested."""
    names = ("profile", "include", "formats", "tell_tenants")
    return {**{name: row[name] for name in names}, "subject": f"{row['subject_kind']}:{row['subject_id']}"}


def owner(row: Mapping[Any, Any]) -> Actor:
    """Return the person who began a schedule, as the actor of its requests."""
    issuer = (row["created_identity"] or "").partition(" ")[0]
    return Actor(ActorRole.SUBJECT, row["subject_id"], kind=SubjectKind(row["subject_kind"]), issuer=issuer)


def lock_due(connection: Connection, row: Mapping[Any, Any]) -> RowMapping | None:
    """Return a schedule, locked, if a copy is due; None: another clock has requested it, or it was stopped.

    The lock of its person is taken before.
    """
    due = (TABLE.c.id == row["id"], TABLE.c.ended_at.is_(None), TABLE.c.next_at <= now())
    return connection.execute(select(TABLE).where(*due).with_for_update()).mappings().one_or_none()


def advance(connection: Connection, row: Mapping[Any, Any], export_id: str, zone: tzinfo) -> None:
    """Note that the copy that was due is requested; after the last copy the schedule ends. It is locked."""
    # By the clock that finds what is due: by another clock it might still be to come.
    following = next_date(row["created_at"], zone, deployment.clock_of(connection))
    connection.execute(update(TABLE).where(TABLE.c.id == row["id"]).values(next_at=following, export_id=export_id))
    if following is None:
        end(connection, row, EndReason.COMPLETE, actor="clock")


def postpone(connection: Connection, row: Mapping[Any, Any], seconds: float) -> None:
    """Have the clock request the copy that is due later: it cannot be requested now."""
    due = (TABLE.c.id == row["id"], TABLE.c.ended_at.is_(None), TABLE.c.next_at <= now())
    connection.execute(update(TABLE).where(*due).values(next_at=now(seconds)))


def end(connection: Connection, row: Mapping[Any, Any], reason: EndReason, *, actor: str) -> bool:
    """End a schedule; returns whether it was done now. Copies that were requested are not changed."""
    ended = {"ended_at": now(), "end_reason": reason, "next_at": None}
    stands = update(TABLE).where(TABLE.c.id == row["id"], TABLE.c.ended_at.is_(None))
    if not connection.execute(stands.values(**ended)).rowcount:
        return False
    detail: audit.Detail = {"schedule": row["id"], "reason": reason}
    audit.record(connection, "schedule.ended", actor=actor, detail=detail)
    return True
