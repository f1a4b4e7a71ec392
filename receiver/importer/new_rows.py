"""Inserts the new rows of a batch: by COPY into a table that stores values as they are given, else by INSERT."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, Table, insert
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from portability.api import FieldType
from receiver.binding.columns import TableRules
from receiver.importer.exact_rows import WrittenRows, is_about_row, never_replacing, written_rows
from receiver.importer.values import bindable, kind_of
from receiver.ledger.bulk import put

Values = Mapping[str, Any]


class NewRows:
    """The new rows of one table.

    `is_plain`: the table is as the reference schema makes it. Then what is stored is known without reading it.
    """

    def __init__(self, table: Table, rules: TableRules, narrow: Collection[str], *, is_plain: bool) -> None:
        self._table = table
        self._narrow = narrow
        self._is_plain = is_plain
        columns = dict.fromkeys(_names(table)) if is_plain else {}
        defaults = {
            str(one.name): one.default.arg
            for one in table.columns
            if isinstance(one.default, ScalarElementColumnDefault)
        }
        instead = {name: one.instead for name, one in rules.forbidden.items() if one.instead is not None}
        self._blank: Values = {**columns, **defaults, **instead}
        kinds = [kind_of(column) for column in table.columns]
        self._texts = [(place, _TEXTS[kind]) for place, kind in enumerate(kinds) if kind in _TEXTS]

    def whole(self, values: Values) -> dict[str, Any]:
        """Return a new row: the archive's values, and what this platform sets itself."""
        return {**self._blank, **values}

    def insert(self, connection: Connection, rows: Mapping[str, Values]) -> WrittenRows:
        """Insert rows of `whole`, by id; returns them as they are stored, and those that the target refuses."""
        if self._is_plain and self._is_copied(connection, rows):
            return WrittenRows(dict(rows))
        return written_rows(connection, self._table, rows, self._narrow, partial(self._insert, connection))

    def _is_copied(self, connection: Connection, rows: Mapping[str, Values]) -> bool:
        """Copy rows; returns False, without any row, if a constraint refuses one of them."""
        try:
            with connection.begin_nested():
                put(connection, self._table, _names(self._table), map(self._line, rows.values()))
        except connection.dialect.loaded_dbapi.Error as error:
            if not is_about_row(error):
                raise
            return False
        return True

    def _insert(self, connection: Connection, rows: Mapping[str, Values]) -> None:
        for alike in _alike(rows.values()):
            lines = [{name: bindable(self._table.c[name], row[name]) for name in row} for row in alike]
            connection.execute(never_replacing(insert(self._table)), lines)

    def _line(self, row: Values) -> list[Any]:
        line = list(row.values())
        for place, text in self._texts:
            if line[place] is not None:
                line[place] = text(line[place])
        return line


def _names(table: Table) -> list[str]:
    # SQLAlchemy's names are of a subclass, which orjson refuses.
    return [str(column.name) for column in table.columns]


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # an integer of more than 64 bits, from a hook
        return json.dumps(value)


def _decimal(value: Decimal) -> str:
    return format(value, "f")


_TEXTS: Mapping[FieldType, Callable[[Any], str]] = {
    FieldType.DATETIME: datetime.isoformat,
    FieldType.DATE: date.isoformat,
    FieldType.DECIMAL: _decimal,
    FieldType.OBJECT: _json,
}
"""The text of values in COPY, independent of the settings of the session."""


def _alike(rows: Collection[Values]) -> list[list[Values]]:
    """Group rows with the same columns: a statement for many rows needs them alike."""
    groups: dict[frozenset[str], list[Values]] = {}
    for row in rows:
        groups.setdefault(frozenset(row), []).append(row)
    return list(groups.values())
