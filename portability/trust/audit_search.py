"""Search in the audit log, page by page, the newest first: by person or request, action and day, each by an index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, union

from portability.api import SubjectKind
from portability.database import models
from portability.people import subjects
from portability.trust import chain_events

EVENT, EXPORT = models.audit_event, models.export
PAGE = 50
REQUESTS_MAX = 200
"""Of a person with more requests, the newest are searched."""
ROLES = ("subject", "tenant_admin", "staff", "officer", "auditor", "operator", "recipient", "link")
REFERENCE = re.compile(r"[a-z2-7]{4,24}")
"""The id of a request, or its beginning as the pages show it."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are searched; without values: all that are in the chain."""

    person: str = ""
    """Who acted, or whose requests the events are about: an actor, an id of a person, a pseudonym, a request's id."""
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Events before then."""

    def conditions(self) -> Sequence[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.action:
            found.append(EVENT.c.action == self.action)
        if self.since:
            found.append(EVENT.c.at >= self.since)
        if self.until:
            found.append(EVENT.c.at < self.until)
        return found


def page(
    connection: Connection, wanted: EventFilter, *, before: int | None = None, limit: int = PAGE
) -> tuple[Sequence[Mapping[Any, Any]], int | None]:
    """Return events, the newest first, and the id before which the next page begins; None after the last page.

    Of a damaged event (`chain_events.is_damaged`) they may have the id and the hashes only.

    Args:
        connection: any transaction.
        wanted: the filter.
        before: the id of the last event already seen.
        limit: how many at most.
    """
    conditions = [*wanted.conditions()]
    if before is not None:
        conditions.append(EVENT.c.id < before)
    query: Select[Any] = select(EVENT)
    if wanted.person:
        # Each question has an index of its own; one condition with OR would read the log from its end.
        ways = [_newest([*conditions, of_person], limit) for of_person in _of_person(connection, wanted.person)]
        query = query.where(EVENT.c.id.in_(select(union(*ways).subquery().c.id)))
    else:
        query = query.where(*conditions)
    rows = chain_events.found(connection, query.order_by(EVENT.c.id.desc()).limit(limit + 1))
    return rows[:limit], int(rows[limit - 1]["id"]) if len(rows) > limit else None


def has_older(connection: Connection, person: str) -> bool:
    """Return whether a person has more requests than REQUESTS_MAX: the events of older requests are not searched."""
    of_person = _of_refs(_refs(connection, person)).offset(REQUESTS_MAX).limit(1)
    return bool(connection.scalar(of_person))


def actions(connection: Connection) -> Sequence[str]:
    """Return the names of all actions that the log has, in order; reads the index once for each name."""
    names = select(func.min(EVENT.c.action).label("action")).cte("names", recursive=True)
    later = select(func.min(EVENT.c.action)).where(EVENT.c.action > names.c.action).scalar_subquery()
    names = names.union_all(select(later).where(names.c.action.is_not(None)))
    return [str(name) for name in connection.scalars(select(names.c.action).where(names.c.action.is_not(None)))]


def _newest(conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    newest = select(EVENT.c.id).where(*conditions).order_by(EVENT.c.id.desc()).limit(limit + 1).subquery()
    return select(newest.c.id)


def _of_person(connection: Connection, person: str) -> list[ColumnElement[bool]]:
    """Return the conditions of which an event about a person fulfils at least one."""
    refs = _refs(connection, person)
    actors = [person, *(f"{role}:{person}" for role in ROLES), *(f"subject:{ref}" for ref in refs)]
    found: list[ColumnElement[bool]] = [EVENT.c.actor.in_(actors)]
    if requests := _requests(connection, person, refs):
        found.append(EVENT.c.export_id.in_(requests))
    return found


def _refs(connection: Connection, person: str) -> list[str]:
    if person.startswith(subjects.REF_PREFIX):
        return [person]
    kinds = (SubjectKind.USER, SubjectKind.EMAIL, SubjectKind.PHONE)
    rows = (subjects.ref_row(connection, kind, person, None) for kind in kinds)
    return [row["ref"] for row in rows if row]


def _of_refs(refs: Sequence[str]) -> Select[Any]:
    """Return the query of the requests of a person, the newest first."""
    newest = (EXPORT.c.created_at.desc(), EXPORT.c.id.desc())
    return select(EXPORT.c.id).where(EXPORT.c.subject_ref.in_(refs)).order_by(*newest)


def _requests(connection: Connection, person: str, refs: Sequence[str]) -> Sequence[str]:
    """Return the ids of the requests about a person, and of those whose id begins as given."""
    found = [*connection.scalars(_of_refs(refs).limit(REQUESTS_MAX))] if refs else []
    if REFERENCE.fullmatch(person):
        named = select(EXPORT.c.id).where(EXPORT.c.id.startswith(person, autoescape=True)).limit(REQUESTS_MAX)
        found += connection.scalars(named).all()
    return found
