"""The request log: all requests, page by page, and as the record that CCPA regulation 7101 demands."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, literal, or_, select, tuple_

from portability.api import JSON
from portability.api.cells import defused
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import UtcTime, now
from portability.errors import AddressOfAccount
from portability.requests import page_cursors
from portability.requests.exports import unanswered
from portability.requests.outcome import UNDELIVERED, OwnOutcome
from portability.requests.states import UNANSWERED, ExportState
from portability.trust import audit

EXPORT, EVENT, APPROVAL = models.export, audit.LOG, models.approval
DAY_SECONDS = 86_400
TEXTS = ("id", "state", "complete", "profile", "subject_kind", "subject_ref", "channel", "error_code")
OUTCOME = ("outcome_own", "outcome_processor")
TIMES = ("received_at", "due_at", "began_at", "ended_at")
ANSWER = ("responded_at", "response", "basis", "denial")
"""When and how it was answered; for a denial the basis and the words."""
COLUMNS = (*TEXTS, "requested_by", "reason", *TIMES, *ANSWER, *OUTCOME)
"""Columns of the log, in this order; other programs rely on their names."""

PAGE = 1000


class AnswerNature(StrEnum):
    """The nature of the answer (11 CCR 7101(b))."""

    COMPLIED = "complied"
    COMPLIED_IN_PART = "complied_in_part"
    """An archive with gaps."""
    REFERRED = "referred"
    """Companies decide over all of the data, and the answer names them."""
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    """Cancelled by the requester, or on their behalf."""
    FAILED = "failed"
    """A fault of this service; it may be retried."""
    LOG_IN = "log_in"
    """The address belongs to an account: nothing was read, and the person was informed to log in."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The requests that an actor may list; without values: all."""

    subject_ref: str | None = None
    tenant: str | None = None
    kinds: Sequence[str] = ("tenant", "contact")
    """Of a tenant: the kinds of subjects."""

    def condition(self) -> Sequence[ColumnElement[bool]]:
        named = {"subject_ref": self.subject_ref, "tenant": self.tenant}
        of_tenant = () if self.tenant is None else (EXPORT.c.subject_kind.in_(self.kinds),)
        return (*(EXPORT.c[name] == value for name, value in named.items() if value is not None), *of_tenant)


def page(
    connection: Connection,
    scope: Scope,
    *,
    states: Iterable[str] | None = None,
    search: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[RowMapping], str | None]:
    """Return the newest requests first, and the cursor of the next page; `search` is the id of a request or subject.

    Raises: BadInput for an invalid cursor.
    """
    conditions = [*scope.condition()]
    if states is not None:
        conditions.append(EXPORT.c.state.in_(tuple(states)))
    if search:
        conditions.append(or_(EXPORT.c.id == search, EXPORT.c.subject_ref == search))
    if after is not None:
        at, last = page_cursors.decoded(after)
        # One comparison of both, which an index answers: each page costs the same.
        conditions.append(tuple_(EXPORT.c.created_at, EXPORT.c.id) < tuple_(literal(at, UtcTime()), literal(last)))
    query = _answered().where(*conditions).order_by(EXPORT.c.created_at.desc(), EXPORT.c.id.desc())
    rows = connection.execute(query.limit(limit + 1)).mappings().all()
    following = (
        page_cursors.encoded(rows[limit - 1]["created_at"], rows[limit - 1]["id"]) if len(rows) > limit else None
    )
    return rows[:limit], following


def pages(
    transaction: Callable[[], AbstractContextManager[Connection]], scope: Scope
) -> Iterator[Sequence[RowMapping]]:
    """Yield all requests in pages, the newest first, each read in a short transaction: no reader holds one open.

    At least one page is given, which is empty if there is no request.
    """
    after: str | None = None
    is_first = True
    while is_first or after:
        with transaction() as connection:
            rows, after = page(connection, scope, after=after, limit=PAGE)
        yield rows
        is_first = False


def tables(transaction: Callable[[], AbstractContextManager[Connection]], scope: Scope) -> Iterator[str]:
    """Yield the whole log as CSV in parts."""
    for number, rows in enumerate(pages(transaction, scope)):
        yield table(rows, with_header=number == 0)


def counts(connection: Connection, scope: Scope) -> Mapping[str, int]:
    """Return the figures for the overview of people who work on requests."""
    waiting = unanswered()
    query = select(
        func.count().filter(waiting).label("open"),
        func.count().filter(waiting, EXPORT.c.due_at < now()).label("overdue"),
        func.count().filter(waiting, EXPORT.c.due_at >= now(), EXPORT.c.due_at < now(DAY_SECONDS)).label("soon"),
        func.count().filter(EXPORT.c.state == "review").label("review"),
        func.count().filter(EXPORT.c.state == "failed").label("failed"),
    )
    query = query.where(*scope.condition(), EXPORT.c.state.in_(UNANSWERED), EXPORT.c.erased_at.is_(None))
    return dict(connection.execute(query).mappings().one())


def document(row: RowMapping) -> dict[str, JSON]:
    """Return one request as JSON: references, states and times, no person's id."""
    times = {name: rfc3339(row[name]) for name in TIMES}
    content: dict[str, JSON] = {
        **{name: row[name] for name in TEXTS},
        "requested_by": _role(row),
        "reason": row["reason"],
    }
    answer: dict[str, JSON] = {"response": response(row), "basis": row["basis"], "denial": row["denial"]}
    outcome: dict[str, JSON] = {name: row[name] for name in OUTCOME}
    return {**content, **times, "responded_at": rfc3339(row["responded_at"]), **answer, **outcome}


def response(row: Mapping[Any, Any]) -> AnswerNature | None:
    """Return how a request was answered; None while it is open. An archive that was deleted later was an answer."""
    if row["is_denied"]:
        return AnswerNature.DENIED
    if row["responded_at"] is not None:
        return _by_outcome(row)
    if row["state"] == ExportState.FAILED and row["error_code"] == AddressOfAccount.code:
        return AnswerNature.LOG_IN
    ended = {ExportState.CANCELLED: AnswerNature.WITHDRAWN, ExportState.FAILED: AnswerNature.FAILED}
    return ended.get(ExportState(row["state"]))


def _by_outcome(row: Mapping[Any, Any]) -> AnswerNature:
    """Return the nature of an archive. A referral beside a complete answer of our own leaves it complied."""
    if not row["outcome_own"]:  # an archive of a release before outcomes
        return AnswerNature.COMPLIED_IN_PART if row["complete"] is False else AnswerNature.COMPLIED
    if row["outcome_own"] == OwnOutcome.NONE and row["outcome_processor"] in UNDELIVERED:
        return AnswerNature.REFERRED
    return AnswerNature.COMPLIED_IN_PART if row["outcome_own"] == OwnOutcome.PARTIAL else AnswerNature.COMPLIED


def table(rows: Iterable[RowMapping], *, with_header: bool = True) -> str:
    """Write the log as CSV (RFC 4180) with a header line; no cell is interpreted as a formula by a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if with_header:
        writer.writerow(COLUMNS)
    for row in rows:
        content = document(row)
        writer.writerow([csv_cell(content[name]) for name in COLUMNS])
    return text.getvalue()


def _answered() -> Select[*tuple[Any, ...]]:
    """Select exports with their answers. The time is taken from the audit log only: a later end does not change it."""
    matching = (EVENT.c.export_id == EXPORT.c.id, EVENT.c.action.in_(("export.ready", "export.denied")))
    at = select(func.min(EVENT.c.at)).where(*matching).correlate(EXPORT).scalar_subquery()
    # By the state of the request: a transfer, or an operator's copy, of a ready archive can be refused too.
    denied = (APPROVAL.c.export_id == EXPORT.c.id, APPROVAL.c.state == "denied", EXPORT.c.state == ExportState.DENIED)
    basis = select(func.min(APPROVAL.c.basis)).where(*denied).correlate(EXPORT).scalar_subquery()
    words = select(func.min(APPROVAL.c.reason)).where(*denied).correlate(EXPORT).scalar_subquery()
    is_denied = select(APPROVAL.c.id).where(*denied).correlate(EXPORT).exists()
    columns = (at.label("responded_at"), is_denied.label("is_denied"), basis.label("basis"), words.label("denial"))
    return select(EXPORT, *columns)


def _role(row: RowMapping) -> str:
    """Return the role of the requester; the log needs no names of staff."""
    return str(row["requested_by"]).partition(":")[0]


def csv_cell(value: JSON) -> str:
    """Return a value as a cell of CSV that no spreadsheet interprets as a formula; None is an empty cell."""
    return defused(value) if isinstance(value, str) else str(value if value is not None else "")
