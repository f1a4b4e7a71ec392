"""Rows of a query in chunks, as the driver gives them: rows of SQLAlchemy cost as much as all the rest of reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import CursorResult

Chunk = Sequence[Sequence[Any]]


def chunks(result: CursorResult[Any], size: Callable[[], int]) -> Iterator[Chunk]:
    """Chunks of at most `size()` rows, asked again for each; the first has one row, from which others are estimated.

    Raises: what the driver raises.
    """
    rows: Chunk = result.fetchmany(1)  # SQLAlchemy has fetched it already (BufferedRowCursorFetchStrategy)
    driver: Any = result.cursor
    while rows:
        yield rows
        rows = driver.fetchmany(size())
