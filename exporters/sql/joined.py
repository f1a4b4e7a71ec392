"""Columns joined by PostgreSQL: one text for each column of a chunk, instead of a value for each cell.

A driver makes an object of each value, and a converter and an encoder look at each. A joined column is converted and
put into lines as a whole (`exporters.sql.cells`); `string_agg` costs the server no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from psycopg import ClientCursor, OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Engine,
    Integer,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.sql.elements import NamedColumn

from exporters.sql.cells import SEPARATOR, Cells, NotJoined, apart, cells, lines
from exporters.sql.columns import FixedText
from exporters.sql.faults import reading
from exporters.sql.identifiers import plain_type
from exporters.sql.marks import MarkedRows, Marks
from exporters.sql.moments import StatedType
from exporters.sql.rows import Columns, place_of, selected, statement
from exporters.sql.source import TableSource
from exporters.sql.values import as_text, field_type
from portability.api import FieldType
from portability.database.sessions import before_single

_ROWS = "rows"
_OF_ANY_SIZE = (FieldType.STRING, FieldType.OBJECT)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement for the driver, with parameters for the start key and the number of rows."""

    source: TableSource
    sql: str
    parameters: Mapping[str, Any]
    null: str
    """Represents NULL: a random text that no value has."""
    marks: Sequence[str] = ()

    def after(self, key: Sequence[object], rows: int) -> Mapping[str, Any]:
        """Return all parameters, for rows after a key."""
        return {**self.parameters, **dict(zip(map(_key, range(len(key))), key, strict=True)), _ROWS: rows}


@dataclass(frozen=True, slots=True)
class JoinedAnswer:
    """Rows, joined by column."""

    query: Query
    rows: int
    """The number of rows; 0 at the end."""
    joined: Sequence[str | None] = field(repr=False)
    marks: MarkedRows = field(default_factory=dict)

    @property
    def last(self) -> Sequence[str]:
        """Return the key of the last row, as the database writes it."""
        columns = [self.joined[place] or "" for place in _places(self.query.source)]
        return [column[column.rfind(SEPARATOR) + 1 :] for column in columns]


def behind(source: TableSource) -> Sequence[BindParameter[Any]]:
    """Return the key of a cursor as parameters of a query that is executed repeatedly."""
    return [bindparam(_key(place), None, type_=plain_type(column.type)) for place, column in enumerate(source.order)]


def _key(place: int) -> str:
    return f"key{place}"


def query(
    source: TableSource,
    rows: ColumnElement[bool],
    database: Engine,
    size_bytes: int,
    marks: Marks = MappingProxyType({}),
) -> Query:
    """Make the query for rows after a key, with their number and joined columns, limited by `size_bytes`.

    For any estimated row size, at most one row more than that limit is returned.
    """
    null = f"null-{secrets.token_hex(16)}"
    keys = [key.label(f"k{place}") for place, key in enumerate(source.order)]
    conditions = [condition.label(f"m{place}") for place, condition in enumerate(marks.values())]
    selection = statement(source, rows, bindparam(_ROWS, None, type_=Integer))
    first = selection.add_columns(*keys, *conditions).subquery()
    columns = list(zip(selected(source), first.c, strict=False))
    sizes = [func.coalesce(func.octet_length(c), 0) for of, c in columns if field_type(of.type) in _OF_ANY_SIZE]
    order = [first.c[key.name] for key in keys]
    before = func.sum(sum(sizes, literal(0))).over(order_by=order, rows=(None, -1))
    numbers = [func.row_number().over(order_by=order).label("number")] if conditions else []
    bounded = select(first, before.label("before"), *numbers).subquery()
    joined = [_joined(of, bounded.c[column.key], null) for of, column in columns]
    joined += [func.string_agg(cast(bounded.c.number, Text), ",").filter(bounded.c[mark.name]) for mark in conditions]
    joined_query = select(func.count(), *joined).where(func.coalesce(bounded.c.before, 0) < size_bytes)
    compiled = joined_query.compile(dialect=database.dialect, compile_kwargs={"render_postcompile": True})
    return Query(source, str(compiled), compiled.params, null, tuple(marks))


def _joined(of: NamedColumn[Any], column: ColumnElement[Any], null: str) -> ColumnElement[str]:
    text: ColumnElement[str] = as_text(column)
    if isinstance(of.type, FixedText):
        text = case((column.is_not(None), func.concat(column)))  # a conversion would remove the blanks at its end
    return func.string_agg(func.coalesce(text, null) if getattr(of, "nullable", True) else text, SEPARATOR)


def ask(database: Engine, asked: Query, key: Sequence[object], rows: int) -> JoinedAnswer:
    """Fetch at most `rows` rows after a key. Raises: SourceUnavailable, SourceRefused.

    The driver's own way of waiting takes the interpreter's lock again for every packet; PQexec of libpq waits without
    it until everything has arrived.
    """
    with reading(database, asked.source.dataset.name, single=True) as connection:
        driver: Any = connection.connection.driver_connection
        encoding = driver.info.encoding
        sql = ClientCursor(driver).mogrify(asked.sql, asked.after(key, rows))
        result = driver.pgconn.exec_((before_single(connection) + sql).encode(encoding))
        if result.status != ExecStatus.TUPLES_OK:
            if driver.pgconn.status == ConnStatus.BAD:
                connection.invalidate()
                raise OperationalError
            raise error_from_result(result, encoding)
        count, *found = [result.get_value(0, place) for place in range(result.nfields)]
    texts = [None if text is None else text.decode(encoding) for text in found]
    first_mark = len(texts) - len(asked.marks)
    marks = dict(zip(asked.marks, map(_numbers, texts[first_mark:]), strict=True))
    return JoinedAnswer(asked, int(count), texts[:first_mark], marks)


def _numbers(joined: str | None) -> Sequence[int]:
    """Return the indexes of rows that the database counts from 1."""
    return [int(number) - 1 for number in joined.split(",")] if joined else []


def columns(answer: JoinedAnswer) -> Columns:
    """Split the rows into columns. Raises NotJoined."""
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
        marks=answer.marks,
    )


def _cells(asked: Query, column: NamedColumn[Any], joined: str | None, count: int) -> Cells:
    if not count:
        return Cells((), ())
    if joined is None:
        raise NotJoined  # NULLs although the platform's schema does not allow them
    if isinstance(column.type, StatedType):
        return _stated_times(asked, column.type, joined, count)
    return cells(field_type(column.type), joined, count, asked.null)


def _stated_times(asked: Query, kind: StatedType, joined: str, count: int) -> Cells:
    """Split a column of times that the map states. Raises NotJoined, also for a value that is not such a time."""
    found = kind.read([None if value == asked.null else value for value in apart(joined, count)])
    if bytes in set(map(type, found)):
        raise NotJoined
    texts = [value or asked.null for value in found]
    return cells(field_type(kind), SEPARATOR.join(texts), count, asked.null)


def _places(source: TableSource) -> Sequence[int]:
    """Return the positions of the columns of the order."""
    return [place_of(selected(source), key) for key in source.order]
