"""The request log: all requests, a page at a time, and as the record that CCPA regulation 7101 asks for."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, or_, select

from portability import models
from portability.api import JSON
from portability.db import now
from portability.errors import BadInput
from portability.exports import rfc3339
from portability.states import UNDECIDED, ExportState

EXPORT, EVENT, APPROVAL = models.export, models.audit_event, models.approval
DAY_SECONDS = 86_400
TEXTS = ("id", "state", "complete", "profile", "subject_kind", "subject_ref", "channel", "error_code")
TIMES = ("received_at", "due_at", "began_at", "ended_at")
ANSWER = ("responded_at", "response", "basis", "denial")
"""When and how it was answered; of a denial the rule that it rests on, and its words."""
COLUMNS = (*TEXTS, "requested_by", "reason", *TIMES, *ANSWER)
"""Of the log, in this order; names are relied upon."""

PAGE = 1000


class Response(StrEnum):
    """The nature of the answer (11 CCR 7101(b))."""

    COMPLIED = "complied"
    COMPLIED_IN_PART = "complied_in_part"
    """An archive with gaps."""
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    """By whoever asked, or for them."""
    FAILED = "failed"
    """A fault of ours; it may be tried again."""


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
    query = _answered().where(*conditions).order_by(EXPORT.c.created_at.desc(), EXPORT.c.id.desc())
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
    told: dict[str, JSON] = {**{name: row[name] for name in TEXTS}, "requested_by": _role(row), "reason": row["reason"]}
    answer: dict[str, JSON] = {"response": response(row), "basis": row["basis"], "denial": row["denial"]}
    return {**told, **times, "responded_at": rfc3339(row["responded_at"]), **answer}


def response(row: Mapping[Any, Any]) -> Response | None:
    """How a request of the log was answered; None while it was not. An archive that is gone was an answer."""
    if row["is_denied"]:
        return Response.DENIED
    if row["responded_at"] is not None:
        return Response.COMPLIED_IN_PART if row["complete"] is False else Response.COMPLIED
    ended = {ExportState.CANCELLED: Response.WITHDRAWN, ExportState.FAILED: Response.FAILED}
    return ended.get(ExportState(row["state"]))


def table(rows: Iterable[RowMapping]) -> str:
    """The log as CSV (RFC 4180) with a line of names; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        told = document(row)
        writer.writerow([_cell(told[name]) for name in COLUMNS])
    return text.getvalue()


def _answered() -> Select[*tuple[Any, ...]]:
    """Exports with their answers. When it was is in the audit log alone: a later end does not move it."""
    mine = (EVENT.c.export_id == EXPORT.c.id, EVENT.c.action.in_(("export.ready", "export.denied")))
    at = select(func.min(EVENT.c.at)).where(*mine).correlate(EXPORT).scalar_subquery()
    denied = (APPROVAL.c.export_id == EXPORT.c.id, APPROVAL.c.state == "denied", APPROVAL.c.cause != "fetch")
    basis = select(func.min(APPROVAL.c.basis)).where(*denied).correlate(EXPORT).scalar_subquery()
    words = select(func.min(APPROVAL.c.reason)).where(*denied).correlate(EXPORT).scalar_subquery()
    is_denied = select(APPROVAL.c.id).where(*denied).correlate(EXPORT).exists()
    columns = (at.label("responded_at"), is_denied.label("is_denied"), basis.label("basis"), words.label("denial"))
    return select(EXPORT, *columns)


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
