"""What a map uses of its database: each table and column, with its place in the map and what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from exporters.sql.mapped.forms import ConditionForm, RowsForm, SqlDatasetForm, SqlSourceForm

Steps = Sequence[str | int]


class ColumnNeed(StrEnum):
    """What a map needs of a column."""

    ANY = "a column"
    TIME = "a time"
    DAY = "a time or date"
    TRUTH = "a truth value"
    MARK = "a time or truth value"
    """It marks a row: by a time that is set, or by true."""
    NUMBER = "an integer"
    FIELD = "a field"
    WITHHELD = "a withheld column"
    """The account may have no right to see it."""


TIMES = frozenset({ColumnNeed.TIME, ColumnNeed.DAY, ColumnNeed.MARK})


@dataclass(frozen=True, slots=True)
class UsedColumn:
    """A column that a map names."""

    path: Steps
    table: str
    column: str
    use: ColumnNeed = ColumnNeed.ANY


@dataclass(frozen=True, slots=True)
class UsedTable:
    """A table that a map names."""

    path: Steps
    table: str


def used_tables(form: SqlSourceForm) -> Iterator[UsedTable]:
    """Yield every table that is read, each time it is named."""
    if form.session.tenants is not None:
        yield UsedTable(("session", "tenants", "table"), form.session.tenants.table)
    for place, look_up in enumerate(form.identity):
        yield UsedTable(("identity", place, "table"), look_up.table)
    for place, dataset in enumerate(form.dataset):
        yield UsedTable(("dataset", place, "table"), dataset.table)
    for path, _, way in form.steps():
        for number, step in enumerate(way.through):
            yield UsedTable((*path, "through", number, "table"), step.table)


def used_columns(form: SqlSourceForm) -> Iterator[UsedColumn]:
    """Yield every column that is read, each time it is named."""
    if form.session.tenants is not None:
        yield UsedColumn(("session", "tenants", "column"), form.session.tenants.table, form.session.tenants.column)
    for place, look_up in enumerate(form.identity):
        found = [(name, getattr(look_up, name)) for name in ("column", "value", "tenant")]
        uses = [UsedColumn((name,), look_up.table, column) for name, column in found if column is not None]
        if isinstance(look_up.verified, str):
            uses.append(UsedColumn(("verified",), look_up.table, look_up.verified, ColumnNeed.MARK))
        yield from _below(("identity", place), (*uses, *_conditions(look_up.table, look_up.where)))
    for place, dataset in enumerate(form.dataset):
        yield from _below(("dataset", place), _of_dataset(dataset))
    for path, dataset, way in form.steps():
        yield from _below(path, _of_way(form, dataset, way))


def _of_dataset(dataset: SqlDatasetForm) -> Iterator[UsedColumn]:
    table = dataset.table
    for name, field in dataset.fields.items():
        path = ("fields", name, "column") if field.column else ("fields", name)
        yield UsedColumn(path, table, dataset.column_of(name), ColumnNeed.FIELD)
    yield from (UsedColumn(("withheld", name), table, name, ColumnNeed.WITHHELD) for name in dataset.withheld)
    yield from (UsedColumn(("order",), table, name) for name in dataset.order)
    times = (("created", ColumnNeed.TIME), ("changed", ColumnNeed.TIME), ("deleted", ColumnNeed.MARK))
    for key, use in (("tenant", ColumnNeed.ANY), *times):
        if (column := getattr(dataset, key)) is not None:
            yield UsedColumn((key,), table, column, use)
    if dataset.retention is not None:
        rule = dataset.retention
        uses = {"until": ColumnNeed.TIME, "since": ColumnNeed.DAY, "hold": ColumnNeed.TRUTH}
        yield from _keys(rule.model_dump(exclude_none=True, exclude={"hook"}), "retention", table, uses)
    if dataset.file is not None:
        yield from _keys(dataset.file.model_dump(exclude_none=True), "file", table, {"bytes": ColumnNeed.NUMBER})
    yield from _conditions(table, dataset.where)


def _keys(found: dict[str, str], key: str, table: str, uses: dict[str, ColumnNeed]) -> Iterator[UsedColumn]:
    for name, column in found.items():
        yield UsedColumn((key, name), table, column, uses.get(name, ColumnNeed.ANY))


def _of_way(form: SqlSourceForm, dataset: SqlDatasetForm, way: RowsForm) -> Iterator[UsedColumn]:
    table = dataset.table
    for number, step in enumerate(way.through):
        at = ("through", number)
        yield UsedColumn((*at, "key"), table, step.key)
        table = step.table
        yield UsedColumn((*at, "here"), table, step.here)
        if step.tenant is not None:
            yield UsedColumn((*at, "tenant"), table, step.tenant)
        yield from _below(at, _conditions(table, step.where))
    yield UsedColumn(("column",), table, way.column)
    if way.dataset is not None:
        table = next(one.table for one in form.dataset if one.name == way.dataset)
        yield UsedColumn(("key",), table, way.key)
    if way.only_if_null is not None:
        yield UsedColumn(("only_if_null",), table, way.only_if_null)


def _conditions(table: str, where: Iterable[ConditionForm]) -> Iterator[UsedColumn]:
    for number, condition in enumerate(where):
        yield UsedColumn(("where", number, "column"), table, condition.column)


def _below(path: Steps, uses: Iterable[UsedColumn]) -> Iterator[UsedColumn]:
    return (replace(use, path=(*path, *use.path)) for use in uses)
