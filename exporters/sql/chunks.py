"""Rows of a query in chunks, as the driver gives them: row objects of SQLAlchemy would double the cost of reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import CursorResult

Chunk = Sequence[Sequence[Any]]


def chunks(result: CursorResult[Any], size: Callable[[], int]) -> Iterator[Chunk]:
    """Yield chunks of at most `size()` rows, called for each; the first has one row, to estimate the size of others.

    Raises: the driver's errors.
    """
    rows: Chunk = result.fetchmany(1)  # SQLAlchemy has fetched it already (BufferedRowCursorFetchStrategy)
    driver: Any = result.cursor
    while rows:
        yield rows
        rows = driver.fetchmany(size())
