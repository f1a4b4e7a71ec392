"""Which times of a row can be read: someone who changes a row may store a time that no calendar of a program has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from portability.database.engine import UtcTime

FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""Times between them can be read in each time zone."""
_DIGIT = "[0-9]"
_FORM = "-".join(_DIGIT * count for count in (4, 2, 2)) + " " + ":".join([_DIGIT * 2] * 3) + "." + _DIGIT * 6
"""How SQLite has a time (`UtcTime`), as a pattern of GLOB."""


class is_possible(FunctionElement[bool]):  # noqa: N801  # named like an SQL function
    """Whether a column has a time that can be read: not infinity, no year 20000, no other text; false for NULL."""

    type = Boolean()
    name = "is_possible"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column, literal(FIRST, UtcTime()), literal(LAST, UtcTime()))


@compiles(is_possible)
def _is_possible(element: is_possible, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the library's own
    time, first, last = (compiler.process(clause, **options) for clause in element.clauses)
    return f"coalesce({time} BETWEEN {first} AND {last}, false)"


@compiles(is_possible, "sqlite")
def _is_possible_sqlite(element: is_possible, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    time, first, last = (compiler.process(clause, **options) for clause in element.clauses)
    # SQLite reads the 30th of February as a day in March.
    is_day = f"datetime(substr({time}, 1, 19)) IS substr({time}, 1, 19)"
    has_form = f"typeof({time}) = 'text' AND {time} GLOB '{_FORM}'"
    return f"coalesce({has_form} AND {is_day} AND {time} BETWEEN {first} AND {last}, 0)"
