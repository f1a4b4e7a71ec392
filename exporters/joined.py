"""Columns as PostgreSQL joins them: one text for each column of a chunk, and not a value for each of its cells.

A driver makes an object of each value, a converter looks at each, and so does an encoder. A joined column is converted
and put into lines as a whole (`exporters.cells`); it costs the server no more (`string_agg`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import ClientCursor, OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from sqlalchemy import BindParameter, Column, ColumnElement, Engine, Integer, bindparam, func, literal, select

from exporters.cells import SEPARATOR, Cells, NotJoined, cells, lines
from exporters.faults import reading
from exporters.rows import Columns, place_of, selected, statement
from exporters.source import Source
from exporters.values import as_text, field_type
from portability.api import FieldType

_ROWS = "rows"
_OF_ANY_SIZE = (FieldType.STRING, FieldType.OBJECT)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement for the driver, with parameters for where to go on and how many rows to take."""

    source: Source
    sql: str
    parameters: Mapping[str, Any]
    null: str
    """Stands for NULL: a text of chance, that no value is."""

    def after(self, key: Sequence[object], rows: int) -> Mapping[str, Any]:
        """All parameters, for rows behind a key."""
        return {**self.parameters, **dict(zip(map(_key, range(len(key))), key, strict=True)), _ROWS: rows}


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, joined by column."""

    query: Query
    rows: int
    """How many; where there are none, no more follow."""
    joined: Sequence[str | None] = field(repr=False)

    @property
    def last(self) -> Sequence[str]:
        """The key of the last row, as the database writes it."""
        columns = [self.joined[place] or "" for place in _places(self.query.source)]
        return [column[column.rfind(SEPARATOR) + 1 :] for column in columns]


def behind(source: Source) -> Sequence[BindParameter[Any]]:
    """The key of a cursor, as parameters of a query that is asked again and again."""
    return [bindparam(_key(place), None, type_=column.type) for place, column in enumerate(source.order)]


def _key(place: int) -> str:
    return f"key{place}"


def query(source: Source, rows: ColumnElement[bool], database: Engine, size_bytes: int) -> Query:
    """The number of rows that are `behind` a key, and their columns, joined: as many as begin within so many bytes.

    Whatever rows are estimated to have, no more than that comes, and one row.
    """
    null = f"null-{secrets.token_hex(16)}"
    keys = [key.label(f"k{place}") for place, key in enumerate(source.order)]
    first = statement(source, rows, bindparam(_ROWS, None, type_=Integer)).add_columns(*keys).subquery()
    columns = list(zip(selected(source), first.c, strict=False))
    sizes = [func.coalesce(func.octet_length(c), 0) for of, c in columns if field_type(of.type) in _OF_ANY_SIZE]
    before = func.sum(sum(sizes, literal(0))).over(order_by=[first.c[key.name] for key in keys], rows=(None, -1))
    bounded = select(first, before.label("before")).subquery()
    joined = [_joined(of, bounded.c[column.key], null) for of, column in columns]
    made = select(func.count(), *joined).where(func.coalesce(bounded.c.before, 0) < size_bytes)
    compiled = made.compile(dialect=database.dialect, compile_kwargs={"render_postcompile": True})
    return Query(source, str(compiled), compiled.params, null)


def _joined(of: Column[Any], column: ColumnElement[Any], null: str) -> ColumnElement[str]:
    text = as_text(column)
    return func.string_agg(func.coalesce(text, null) if of.nullable else text, SEPARATOR)


def ask(database: Engine, asked: Query, key: Sequence[object], rows: int) -> Answer:
    """At most so many rows behind a key. Raises: SourceUnavailable, SourceRefused.

    The driver's own way of waiting takes the interpreter's lock again for every packet, and has to wait for it: here it
    is left until all has come (libpq, PQexec).
    """
    with reading(database, asked.source.dataset.name, single=True) as connection:
        driver: Any = connection.connection.driver_connection
        encoding = driver.info.encoding
        sql = ClientCursor(driver).mogrify(asked.sql, asked.after(key, rows))
        result = driver.pgconn.exec_(sql.encode(encoding))
        if result.status != ExecStatus.TUPLES_OK:
            if driver.pgconn.status == ConnStatus.BAD:
                connection.invalidate()
                raise OperationalError
            raise error_from_result(result, encoding)
        count, *joined = [result.get_value(0, place) for place in range(result.nfields)]
    return Answer(asked, int(count), [None if text is None else text.decode(encoding) for text in joined])


def columns(answer: Answer) -> Columns:
    """The rows by column. Raises NotJoined."""
    source, count = answer.query.source, answer.rows
    found = [
        _cells(answer.query, column, text, count) for column, text in zip(selected(source), answer.joined, strict=True)
    ]
    fields = found[: len(source.columns)]
    return Columns(
        values=[column.values for column in fields],
        keys=[found[place].values for place in _places(source)],
        files=(),
        lost={},
        texts=[column.texts for column in fields],
        lines=lines([field.name for field in source.dataset.fields], fields, count),
    )


def _cells(asked: Query, column: Column[Any], joined: str | None, count: int) -> Cells:
    if not count:
        return Cells((), ())
    if joined is None:
        raise NotJoined  # NULLs where the platform's schema says that there are none
    return cells(field_type(column.type), joined, count, asked.null)


def _places(source: Source) -> Sequence[int]:
    """Where the columns of the order stand."""
    return [place_of(selected(source), key) for key in source.order]
