"""Records that may belong to the subject, and are not delivered until someone has reviewed them: gaps of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from exporters.sql.creation import in_period
from exporters.sql.source import TableSource
from portability.api import NEEDS_REVIEW, Gap, Selection, Subject

START = "start"
"""The cursor before the first record: the gaps of records that need a review are yielded with it."""
NAMED_MAX = 1000
"""Limit of records that are named; a further gap says that there are more."""


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """Selects the names of records that need a review."""

    rows: Select[tuple[Any]]
    column: str | None
    """The column that names several records together, such as `call_id`; None: each record by its key."""


def are_due(selection: Selection, after: str | None) -> bool:
    """Return whether reading begins here: the first slice reports these records for the whole dataset."""
    return after is None and (selection.slice is None or selection.slice.begin is None)


def queries(source: TableSource, subject: Subject, selection: Selection) -> Sequence[ReviewQuery]:
    """Return the queries for records of the selected period that need a review; most subjects have none."""
    if source.filter is None or subject.kind not in (source.dataset.subject_kinds or ()):
        return ()
    found = []
    for unclear in source.filter.unclear(subject):
        column = source.table.c[unclear.column]
        rows = select(column).select_from(source.origin).where(unclear.rows, *in_period(source, selection))
        rows = rows.distinct().order_by(column)
        found.append(ReviewQuery(rows, None if unclear.column in source.dataset.key else unclear.column))
    return found


def gaps(connection: Connection, dataset: str, waiting: Sequence[ReviewQuery]) -> tuple[Gap, ...]:
    """Return a gap for each record that needs a review, or for all records with one reference."""
    found = dict.fromkeys(_names(connection, dataset, waiting))
    return tuple(Gap(name, NEEDS_REVIEW) for name in found)


def _names(connection: Connection, dataset: str, waiting: Sequence[ReviewQuery]) -> Iterator[str]:
    left = NAMED_MAX
    for query in waiting:
        for key in connection.scalars(query.rows.limit(left + 1)):
            if not left:
                yield f"{dataset}: more records that need a review"
                return
            left -= 1
            yield f"{dataset}/{key}" if query.column is None else f"{dataset}/{query.column}={key}"
