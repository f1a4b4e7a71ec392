"""How records with the same fields become values of columns: decided once for each list of fields of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

from receiver.binding.columns import RULES
from receiver.binding.tables import fields_of
from receiver.binding.target import ColumnMapping, mapped
from receiver.importer.values import Converter, Refused, converter_of

PLANS = 256
"""Maximum number of plans of a dataset in memory: an archive may vary its fields without end."""


class RefusedValue(Exception):
    """A value that its column cannot store exactly."""

    def __init__(self, column: str, cause: Refused) -> None:
        super().__init__(column)
        self.column = column
        self.reason = cause.reason


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """The plan for records with certain fields."""

    columns: tuple[tuple[str, bool, Converter], ...]
    """Columns that the import sets: whether they take NULL, and the conversion of their values."""
    mappings: tuple[tuple[ColumnMapping, Converter], ...]
    """Columns that the caller has allowed."""
    forbidden: tuple[tuple[str, object], ...]
    """Fields that only a mapping allows, and the value of new rows instead."""
    ignored: frozenset[str]

    def values(self, record: Mapping[str, Any], not_imported: set[str]) -> dict[str, Any]:
        """Return the values by column; adds the fields whose value is not imported. Raises RefusedValue."""
        not_imported.update(
            name for name, instead in self.forbidden if record[name] is not None and record[name] != instead
        )
        values: dict[str, Any] = {}
        column = ""
        try:
            for column, is_nullable, convert in self.columns:
                value = record.get(column)
                values[column] = None if value is None and is_nullable else convert(value)
            for mapping, convert in self.mappings:
                column = mapping.column
                is_taken, value = mapped(mapping, record.get(column))
                if is_taken:
                    values[column] = convert(value)
                else:
                    not_imported.add(column)
        except Refused as refused:
            raise RefusedValue(column, refused) from None
        return values


class RecordPlans:
    """The plans of one dataset."""

    def __init__(self, dataset: str, table: Table, allowed: Mapping[str, ColumnMapping], dialect: str) -> None:
        self._dataset = dataset
        self._table = table
        self._allowed = allowed
        self._dialect = dialect
        self._plans: dict[tuple[str, ...], RecordPlan] = {}

    def of(self, record: Mapping[str, Any]) -> RecordPlan:
        """Return the plan for a record."""
        names = tuple(record)
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._made(frozenset(names))
        return plan

    def _made(self, names: frozenset[str]) -> RecordPlan:
        fields = fields_of(self._dataset, names, frozenset(self._allowed))
        forbidden = RULES[self._dataset].forbidden
        columns = tuple(self._columns(fields.taken))
        mappings = tuple(
            (self._allowed[column.name], converter_of(column, self._dialect))
            for column in self._table.columns
            if column.name in self._allowed
        )
        replaced = tuple((name, forbidden[name].instead) for name in fields.forbidden)
        return RecordPlan(columns, mappings, replaced, fields.ignored)

    def _columns(self, taken: frozenset[str]) -> Iterator[tuple[str, bool, Converter]]:
        forbidden = RULES[self._dataset].forbidden
        for column in self._table.columns:
            is_set = column.name in taken or (column.name not in forbidden and _is_needed(column))
            if is_set and column.name not in self._allowed:
                # SQLAlchemy's names are of a subclass, whose look-ups take longer.
                yield str(column.name), column.nullable is True, converter_of(column, self._dialect)


def _is_needed(column: Column[Any]) -> bool:
    """Return whether a row requires a value that only the archive can give."""
    return not column.nullable and column.default is None
