"""The request log: all requests, a page at a time, and as the record that CCPA regulation 7101 asks for."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, or_, select

from portability import models
from portability.api import JSON
from portability.db import now
from portability.errors import BadInput
from portability.exports import rfc3339
from portability.states import UNDECIDED

EXPORT = models.export
DAY_SECONDS = 86_400
TEXTS = ("id", "state", "complete", "profile", "subject_kind", "subject_ref", "channel", "error_code")
TIMES = ("received_at", "due_at", "began_at", "ended_at")
COLUMNS = (*TEXTS, "requested_by", "reason", *TIMES)
"""Of the log, in this order; names are relied upon."""

PAGE = 1000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests somebody may list; nothing set: all."""

    subject_ref: str | None = None
    tenant: str | None = None

    def condition(self) -> Sequence[ColumnElement[bool]]:
        named = {"subject_ref": self.subject_ref, "tenant": self.tenant}
        walled = () if self.tenant is None else (EXPORT.c.subject_kind.in_(("tenant", "contact")),)
        return (*(EXPORT.c[name] == value for name, value in named.items() if value is not None), *walled)


def page(
    connection: Connection,
    scope: Scope,
    *,
    states: Iterable[str] | None = None,
    search: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[RowMapping], str | None]:
    """The newest requests first, and the cursor of the next page; `search` is the id of a request or a subject.

    Raises: BadInput for a cursor that is none of ours.
    """
    conditions = [*scope.condition()]
    if states is not None:
        conditions.append(EXPORT.c.state.in_(tuple(states)))
    if search:
        conditions.append(or_(EXPORT.c.id == search, EXPORT.c.subject_ref == search))
    if after is not None:
        at, last = _decoded(after)
        conditions.append(or_(EXPORT.c.created_at < at, and_(EXPORT.c.created_at == at, EXPORT.c.id < last)))
    query = select(EXPORT).where(*conditions).order_by(EXPORT.c.created_at.desc(), EXPORT.c.id.desc())
    rows = connection.execute(query.limit(limit + 1)).mappings().all()
    following = _encoded(rows[limit - 1]) if len(rows) > limit else None
    return rows[:limit], following


def every(connection: Connection, scope: Scope) -> Iterator[RowMapping]:
    """All of them, the newest first, a page at a time."""
    after: str | None = None
    while True:
        rows, after = page(connection, scope, after=after, limit=PAGE)
        yield from rows
        if after is None:
            return


def by_due_date(connection: Connection, scope: Scope, *, limit: int = 200) -> Sequence[RowMapping]:
    """What has not ended, the most urgent first."""
    waiting = EXPORT.c.state.in_(UNDECIDED)
    query = select(EXPORT).where(*scope.condition(), waiting).order_by(EXPORT.c.due_at, EXPORT.c.id)
    return connection.execute(query.limit(limit)).mappings().all()


def counts(connection: Connection, scope: Scope) -> Mapping[str, int]:
    """What a person who works on requests looks at first."""
    waiting = EXPORT.c.state.in_(UNDECIDED)
    query = select(
        func.count().filter(waiting).label("open"),
        func.count().filter(waiting, EXPORT.c.due_at < now()).label("overdue"),
        func.count().filter(waiting, EXPORT.c.due_at >= now(), EXPORT.c.due_at < now(DAY_SECONDS)).label("soon"),
        func.count().filter(EXPORT.c.state == "review").label("review"),
        func.count().filter(EXPORT.c.state == "failed").label("failed"),
    )
    return dict(connection.execute(query.where(*scope.condition())).mappings().one())


def document(row: RowMapping) -> dict[str, JSON]:
    """One request as JSON: references, states and times; nobody's id."""
    times = {name: rfc3339(row[name]) for name in TIMES}
    return {**{name: row[name] for name in TEXTS}, "requested_by": _role(row), "reason": row["reason"], **times}


def table(rows: Iterable[RowMapping]) -> str:
    """The log as CSV (RFC 4180) with a line of names; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        told = document(row)
        writer.writerow([_cell(told[name]) for name in COLUMNS])
    return text.getvalue()


def _role(row: RowMapping) -> str:
    """In which role it was asked for; the log needs no names of staff."""
    return str(row["requested_by"]).partition(":")[0]


def _cell(value: JSON) -> str:
    told = "" if value is None else str(value)
    return f"'{told}" if told.startswith(FORMULA) else told


def _encoded(row: RowMapping) -> str:
    named = f"{row['created_at'].isoformat()} {row['id']}"
    return base64.urlsafe_b64encode(named.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[datetime, str]:
    try:
        named = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        at, _, last = named.partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is not None and last.isalnum():
            return moment, last
    except (ValueError, binascii.Error):
        pass
    raise BadInput("the cursor is none of ours", hint="take `next` of the page before")
