"""Rows of a query in chunks, as the driver gives them: rows of SQLAlchemy cost as much as all the rest of reading."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from psycopg import Cursor, ServerCursor
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import CursorResult

Chunk = Sequence[Sequence[Any]]

AHEAD = 2
"""Fetches under way: one whose rows are waited for, and one on which the server works meanwhile."""


def chunks(result: CursorResult[Any], size: Callable[[], int]) -> Iterator[Chunk]:
    """Chunks of at most `size()` rows, asked again for each; the first has one row, from which others are estimated.

    While one chunk is used PostgreSQL makes the next (psycopg, pipeline mode). Raises: what the driver raises.
    """
    first = result.fetchmany(1)  # SQLAlchemy has fetched it already (BufferedRowCursorFetchStrategy)
    if not first:
        return
    yield first
    driver: Any = result.cursor
    if isinstance(driver, ServerCursor):
        yield from _ahead(driver, size)
    else:
        while rows := driver.fetchmany(size()):
            yield rows


def _ahead(named: ServerCursor[Any], size: Callable[[], int]) -> Iterator[Chunk]:
    connection = named.connection
    with connection.pipeline():
        asked: deque[Cursor[Any]] = deque()
        while True:
            while len(asked) < AHEAD:
                fetch = SQL("FETCH FORWARD {} FROM {}").format(Literal(size()), Identifier(named.name))
                asked.append(connection.cursor().execute(fetch, prepare=False))
            rows = asked.popleft().fetchall()
            if not rows:
                return
            yield rows
