"""Numbers of rows that a database gives again: an id that names a person may be another person's later."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

from exporters.sql.catalogue import Catalogue
from exporters.sql.mapped.databases import SQLITE
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import CoverageFinding, CoverageKind

MADE = text(
    "select t.name, c.name as key, t.sql from main.sqlite_schema t join pragma_table_info(t.name) c"
    " where t.type = 'table' and c.pk > 0 and lower(c.type) = 'integer'"
)
"""Of `INTEGER PRIMARY KEY`, and of no other type, SQLite gives the numbers itself."""
KEPT = re.compile(r"\bautoincrement\b|\bwithout\s+rowid\b", re.IGNORECASE)
"""In the statement that made a table: no number is given again, or none is given by SQLite."""


def found(connection: Connection, form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the columns that name people, or rows that only they have, whose numbers SQLite gives again."""
    if connection.dialect.name != SQLITE:
        return  # sequences of PostgreSQL, and counters that MariaDB stores, give no number again
    given_again = {(name.lower(), key) for name, key, sql in connection.execute(MADE) if not KEPT.search(sql)}
    for table, column in sorted({*_naming(form)}):
        listed = catalogue.tables.get(table)
        is_key = bool(listed and listed.key == (column,))
        if is_key and (table.rpartition(".")[2].lower(), column) in given_again:
            detail = "the number of a deleted row is given again: declare AUTOINCREMENT"
            yield CoverageFinding(CoverageKind.REUSED_IDS, table, column=column, detail=detail)


def _naming(form: SqlSourceForm) -> Iterator[tuple[str, str]]:
    """Yield the columns, with their tables, whose values are identities."""
    for book in (form.people, form.accounts):
        if book:
            yield book.table, book.key
    for one in form.identity:
        yield from ((one.table, one.column), (one.table, one.value))
    for _path, dataset, way in form.steps():
        if way.identities:
            yield (way.through[-1].table if way.through else dataset.table), way.column
