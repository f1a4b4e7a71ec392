"""The lists of people who work on requests: by what a request needs, sorted, page by page, and found by what they know.

Lists of requests without an answer read an index of these alone; lists of all read the order in which they were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    RowMapping,
    Select,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union,
    update,
)

from portability.database import models
from portability.database.engine import UtcTime, now
from portability.requests import exports, page_cursors
from portability.requests.exports import unanswered
from portability.requests.request_log import DAY_SECONDS, Scope
from portability.requests.states import UNANSWERED, ExportState
from portability.trust import audit

EXPORT = models.export
PAGE = 50
FOUND_MAX = 100
SHORTEST = 4
"""Characters of the beginning of a reference."""
OTHERS = 10
"""Further requests of a person that the page of a request shows."""


class DeskView(StrEnum):
    """What the requests of a list need; beside these, each state is a list."""

    OPEN = "open"
    """All without an answer."""
    OVERDUE = "overdue"
    SOON = "soon"
    """Due within a day."""
    ASSIGNED = "assigned"
    """Without an answer, and assigned to a person."""
    UNASSIGNED = "unassigned"
    """Without an answer, and assigned to no one."""
    ALL = "all"


class DeskSort(StrEnum):
    """The order of a list; a minus: descending."""

    DUE = "due"
    LATEST_DUE = "-due"
    RECEIVED = "received"
    NEWEST = "-received"


_COLUMNS = {"due": EXPORT.c.due_at, "received": EXPORT.c.created_at}


@dataclass(frozen=True, slots=True)
class DeskList:
    """A list: which requests, in which order, for whom."""

    view: str = DeskView.OPEN
    """A DeskView or a state."""
    sort: str = ""
    """A DeskSort; empty: the most urgent first, for lists of all the newest first."""
    assignee: str = ""
    """The id of the person whose list ASSIGNED is."""

    @property
    def is_unanswered(self) -> bool:
        """Return whether the list is of requests without an answer: it has every order."""
        return self.view in {*DeskView} - {DeskView.ALL} or self.view in {ExportState.REVIEW, ExportState.FAILED}

    @property
    def order(self) -> DeskSort:
        """Return the order, for an unknown order or one that this list does not have the usual order."""
        possible = {*DeskSort} if self.is_unanswered else {DeskSort.RECEIVED, DeskSort.NEWEST}
        usual = DeskSort.DUE if self.is_unanswered else DeskSort.NEWEST
        return DeskSort(self.sort) if self.sort in possible else usual

    def conditions(self) -> Sequence[ColumnElement[bool]]:
        # Failed and waiting as they are counted: a record whose subject was erased needs nothing any more.
        of_state = (EXPORT.c.state == self.view,)
        living = (*of_state, EXPORT.c.state.in_(UNANSWERED), EXPORT.c.erased_at.is_(None))
        found: dict[str, Sequence[ColumnElement[bool]]] = {
            DeskView.ALL: (),
            DeskView.OPEN: (unanswered(),),
            DeskView.OVERDUE: (unanswered(), EXPORT.c.due_at < now()),
            DeskView.SOON: (unanswered(), EXPORT.c.due_at >= now(), EXPORT.c.due_at < now(DAY_SECONDS)),
            DeskView.UNASSIGNED: (unanswered(), EXPORT.c.assignee.is_(None)),
            DeskView.ASSIGNED: (unanswered(), EXPORT.c.assignee == self.assignee),
            ExportState.REVIEW: living,
            ExportState.FAILED: living,
        }
        return found.get(self.view, of_state)


def page(
    connection: Connection, scope: Scope, wanted: DeskList, *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of a list, and the cursor of the next page (None after the last). Raises BadInput for a cursor."""
    order = wanted.order
    column, is_descending = _COLUMNS[order.removeprefix("-")], order.startswith("-")
    query = select(EXPORT).where(*scope.condition(), *wanted.conditions())
    if after is not None:
        at, last_id = page_cursors.decoded(after)
        here, last = tuple_(column, EXPORT.c.id), tuple_(literal(at, UtcTime()), literal(last_id))
        query = query.where(here < last if is_descending else here > last)
    ordered = (column.desc(), EXPORT.c.id.desc()) if is_descending else (column, EXPORT.c.id)
    rows = connection.execute(query.order_by(*ordered).limit(limit + 1)).mappings().all()
    following = page_cursors.encoded(rows[limit - 1][column.name], rows[limit - 1]["id"]) if len(rows) > limit else None
    return rows[:limit], following


def find(
    connection: Connection, scope: Scope, text: str, subject_ids: Sequence[str] = ()
) -> tuple[Sequence[RowMapping], bool]:
    """Return the newest FOUND_MAX requests that a text names, the newest first, and whether there are more.

    Args:
        connection: any transaction.
        scope: which requests the person may see.
        text: an id or a pseudonym or the beginning of one, the id of a person or company, a word of the reason.
        subject_ids: further ids of subjects that the text names: an address in its normal form, its accounts.
    """
    ways: list[ColumnElement[bool]] = [EXPORT.c.subject_id.in_([text, *subject_ids])]
    if len(text) >= SHORTEST:
        ways += [EXPORT.c[name].startswith(text, autoescape=True) for name in ("id", "subject_ref")]
        ways.append(_has_words(connection.dialect, text))
    # Each way has an index of its own.
    found = [_newest([*scope.condition(), way], FOUND_MAX + 1) for way in ways]
    query = select(EXPORT).where(EXPORT.c.id.in_(select(union(*found).subquery().c.id)))
    newest = (EXPORT.c.created_at.desc(), EXPORT.c.id.desc())
    rows = connection.execute(query.order_by(*newest).limit(FOUND_MAX + 1)).mappings().all()
    return rows[:FOUND_MAX], len(rows) > FOUND_MAX


def others(connection: Connection, scope: Scope, row: Mapping[Any, Any]) -> Sequence[RowMapping]:
    """Return the newest other requests of the same person, one more than OTHERS; an anonymous request has none."""
    if not row["subject_ref"]:
        return ()
    of_person = (EXPORT.c.subject_ref == row["subject_ref"], EXPORT.c.id != row["id"])
    query = select(EXPORT).where(*scope.condition(), *of_person).order_by(EXPORT.c.created_at.desc())
    return connection.execute(query.limit(OTHERS + 1)).mappings().all()


def assign(connection: Connection, identifier: str, assignee: str | None, *, actor: str) -> None:
    """Assign a request to a person who works on it, or to no one. Raises UnknownExport."""
    exports.lock(connection, identifier)
    connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(assignee=assignee))
    audit.record(connection, "export.assigned", actor=actor, export_id=identifier, detail={"to": assignee})


def _newest(conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    newest = select(EXPORT.c.id).where(*conditions).order_by(EXPORT.c.created_at.desc()).limit(limit).subquery()
    return select(newest.c.id)


def _has_words(dialect: Dialect, text: str) -> ColumnElement[bool]:
    """Return the condition that the reason has all words of a text; SQLite, for one machine, reads all reasons."""
    if dialect.name != "postgresql":
        return EXPORT.c.reason.contains(text, autoescape=True)
    simple: ColumnElement[str] = literal_column("'simple'")
    return func.to_tsvector(simple, EXPORT.c.reason).op("@@")(func.plainto_tsquery(simple, text))
