"""Statements of the library that list tables in one FROM without a join.

In a subquery of a subquery a table of the outermost query is such a table, unless `correlate` names it: the condition
is then about any of its rows, not about the row of the query around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

_LISTED = re.compile(r'(?<!DISTINCT )\bFROM [\w."]+(?: AS \w+)?, [\w."]+')


@contextmanager
def watching() -> Iterator[list[str]]:
    """Yield the list into which such statements come, each once."""
    seen = set[str]()
    found: list[str] = []

    def note(*executing: Any) -> None:
        _connection, _cursor, statement, _parameters, context, _many = executing
        if context.compiled and statement not in seen:
            seen.add(statement)
            if _LISTED.search(statement):
                found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)
