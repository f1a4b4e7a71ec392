"""What may be left in storage of exports and transfers that are over: few of all, and the clock looks at these only.

Each is marked once nothing is left of it. The mark of an export is the end that it belongs to: a retry that fails has
another end. Releases without the marks leave them, so what these end is looked at (ADR 101).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from sqlalchemy import BindParameter, Column, ColumnElement, Engine, Table, bindparam, func, or_, select, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.requests.states import (
    DISCARDED,
    TRANSFERS_FETCHABLE,
    TRANSFERS_MADE,
    ExportState,
    TransferState,
)

EXPORT, VOLUME, TRANSFER, COPY = models.export, models.volume, models.transfer, models.transfer_copy
OVER = frozenset(TransferState) - TRANSFERS_MADE - TRANSFERS_FETCHABLE
PAGE = 1_000
HAS_COPY = select(COPY.c.id).where(COPY.c.transfer_id == TRANSFER.c.id).exists()
SENT = COPY.join(TRANSFER, TRANSFER.c.id == COPY.c.transfer_id)
HAS_COPIES = select(COPY.c.id).select_from(SENT).where(TRANSFER.c.export_id == EXPORT.c.id).exists()
HAS_VOLUME = select(VOLUME.c.id).where(VOLUME.c.export_id == EXPORT.c.id).exists()


def exports(engine: Engine, states: Collection[ExportState] = DISCARDED) -> Sequence[str]:
    """Return the discarded exports in some states that may have volumes or copies. Raises DatabaseUnavailable."""
    found: list[str] = []
    # In pages by the index: PostgreSQL expects many more than there are, and would read all exports for all at once.
    with reading(engine) as connection:
        query = select(EXPORT.c.id).where(_among(EXPORT.c.state, states), _is_unmarked()).order_by(EXPORT.c.id)
        while page := connection.scalars(query.where(EXPORT.c.id > (found or [""])[-1]).limit(PAGE)).all():
            found += page
    return found


def transfers(engine: Engine) -> Sequence[str]:
    """Return the transfers that may have copies which no recipient may get any more. Raises DatabaseUnavailable."""
    unmarked = select(TRANSFER.c.id).where(~TRANSFER.c.emptied)
    fetchable = unmarked.where(_among(TRANSFER.c.state, TRANSFERS_FETCHABLE))
    gone = exports(engine)
    with reading(engine) as connection:
        present = connection.scalar(select(now()))  # a value is a bound of the index
        found = {*connection.scalars(unmarked.where(_among(TRANSFER.c.state, OVER)))}
        found |= {*connection.scalars(fetchable.where(TRANSFER.c.expires_at <= present))}
        for page in pages(gone):
            found |= {*connection.scalars(fetchable.where(TRANSFER.c.export_id.in_(page)))}
    return sorted(found)


def mark(engine: Engine) -> None:
    """Mark exports and transfers of which nothing is left. Raises DatabaseUnavailable."""
    for page in pages(transfers(engine)):
        _mark(engine, TRANSFER, page, ~HAS_COPY, emptied=True)
    # An export of version 0.1 may have no end.
    ended_at = func.coalesce(EXPORT.c.ended_at, EXPORT.c.created_at)
    for page in pages(exports(engine)):
        is_over = (EXPORT.c.state.in_(DISCARDED), ~HAS_VOLUME, ~HAS_COPIES.correlate(EXPORT))
        _mark(engine, EXPORT, page, *is_over, empty_since=ended_at)


def pages(identifiers: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the same ids in order, at most PAGE at a time: databases limit the parameters of a statement."""
    for first in range(0, len(identifiers), PAGE):
        yield identifiers[first : first + PAGE]


def _mark(
    engine: Engine, table: Table, page: Sequence[str], *conditions: ColumnElement[bool], **values: object
) -> None:
    empty = select(table.c.id).where(table.c.id.in_(page), *conditions)
    with reading(engine) as connection:
        if not connection.scalar(empty.limit(1)):
            return
    with writing(engine) as connection:
        # What another process changes now waits for the next round.
        is_postgresql = connection.dialect.name == "postgresql"
        chosen = empty.with_for_update(skip_locked=True, of=table) if is_postgresql else empty
        found = connection.scalars(chosen).all()
        connection.execute(update(table).where(table.c.id.in_(found)).values(**values))


def _is_unmarked() -> ColumnElement[bool]:
    return or_(EXPORT.c.empty_since.is_(None), EXPORT.c.empty_since != EXPORT.c.ended_at)


def _among(column: Column[str], states: Collection[StrEnum]) -> ColumnElement[bool]:
    """Return the condition with literals: parameters would hide the partial index from the planner."""
    literals: BindParameter[str] = bindparam(None, sorted(states), expanding=True, literal_execute=True)
    return column.in_(literals)
