"""Compiles an SQL map: to the tables, row filters and sources that the engine for SQL reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, Text, cast, null
from sqlalchemy.types import TypeEngine

from exporters.maps.forms import dataset_of
from exporters.maps.hooks import load_hook
from exporters.sql.belonging import (
    Belonging,
    ByColumn,
    ByParent,
    ByThrough,
    Relations,
    RowCondition,
    Rule,
    Step,
    Within,
)
from exporters.sql.columns import NEVER, WITHHELD
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.field_columns import field_column
from exporters.sql.mapped.forms import (
    ConditionForm,
    FileForm,
    RowsForm,
    SqlDatasetForm,
    SqlSourceForm,
)
from exporters.sql.mapped.uses import TIMES, ColumnNeed, used_columns
from exporters.sql.retention import Since, Until
from exporters.sql.row_filter import RowFilter
from exporters.sql.source import FILE, FILE_TEXT, FileColumns, RowRetention, TableSource
from exporters.sql.values import field_type
from portability.api import Dataset, DisclosureFields, Field, FieldType
from portability.database.engine import UtcTime
from portability.people.addresses import EMAIL

RetentionHook: TypeAlias = Callable[[Table, str | None], RowRetention]
"""Makes the rule of a dataset's table, given the name of the column of its tenant. Group `portability.hooks`."""
Tables = Mapping[str, Table]
"""The tables by the names that the map gives them, with the columns that it names."""


@dataclass(frozen=True, slots=True)
class CompiledMap:
    """What the engine for SQL reads."""

    tables: Tables
    sources: Sequence[TableSource]
    belongings: Sequence[Belonging]


def dataset_of_map(form: SqlSourceForm, stated: SqlDatasetForm) -> Dataset:
    """Return the dataset that a map declares: by its text alone, without the database."""
    fields = [field.field(name, FieldType.STRING, stated.provenance) for name, field in stated.fields.items()]
    if stated.file is not None:
        fields.append(Field(FILE, FieldType.STRING, FILE_TEXT, stated.provenance))
    disclosures = stated.disclosures
    return dataset_of(
        form,
        stated,
        tuple(fields),
        stated.withheld,
        of_staff=bool(stated.staff),
        disclosures=None if disclosures is None else DisclosureFields(disclosures.recipient, disclosures.at),
    )


def compile_map(form: SqlSourceForm, catalogue: Catalogue) -> CompiledMap:
    """Compile a map that fits its database."""
    tables = _tables(form, catalogue)
    by_name = {one.name: belonging_of(one, tables) for one in form.dataset}
    relations = Relations(by_name)
    offered = (one for one in form.dataset if not one.is_draft)
    sources = [source_of(form, one, tables, RowFilter(relations, one.name)) for one in offered]
    return CompiledMap(tables, sources, list(by_name.values()))


def kinds_of(form: SqlSourceForm) -> frozenset[str]:
    """Return the kinds of identities by which the rows of the map are selected."""
    return frozenset(kind for _, _, way in form.steps() for kind in way.identities)


def conditions_of(stated: Iterable[ConditionForm]) -> tuple[RowCondition, ...]:
    """Return the conditions that a map states."""
    return tuple(
        RowCondition(
            one.column,
            (one.equals,) if one.equals is not None else one.among or (),
            is_null=one.null is True,
            is_not_null=one.null is False,
        )
        for one in stated
    )


def _tables(form: SqlSourceForm, catalogue: Catalogue) -> Tables:
    metadata = MetaData()
    names: dict[str, dict[str, TypeEngine[Any]]] = defaultdict(dict)
    for used in used_columns(form):
        if (found := catalogue[used.table].columns.get(used.column)) is not None:
            is_plain = used.column not in names[used.table] or used.use in {*TIMES, ColumnNeed.TRUTH}
            if is_plain:
                names[used.table][used.column] = _type(found.type, used.use)
    withheld = {(one.table, name): form_ for one in form.dataset for name, form_ in one.withheld.items()}
    tables = {}
    for name, columns in names.items():
        schema, _, plain = name.rpartition(".")
        made = []
        for column, kind in columns.items():
            stated, nullable = withheld.get((name, column)), catalogue[name].columns[column].nullable
            info: dict[str, Any] = {} if stated is None else {NEVER: stated.reason, WITHHELD: stated.withheld(column)}
            made.append(Column(column, kind, nullable=nullable, info=info))
        tables[name] = Table(plain, metadata, *made, schema=schema or None)
    return tables


def _type(found: TypeEngine[Any], use: ColumnNeed) -> TypeEngine[Any]:
    """Return the type by which a column is compared: the map knows times of SQLite, and truth values in integers."""
    kind = field_type(found)
    if use in TIMES and kind is FieldType.STRING:
        return UtcTime()
    return Boolean() if use is ColumnNeed.TRUTH and kind is FieldType.INTEGER else found


def belonging_of(stated: SqlDatasetForm, tables: Tables, exporter: str = "") -> Belonging:
    """Return which rows of a dataset belong to whom; `exporter` precedes the names of datasets of the same map."""
    key, *more = stated.key_columns
    return Belonging(
        tables[stated.table],
        stated.tenant,
        tuple(_rule(stated, way, tables, exporter) for way in stated.rows),
        tuple(_rule(stated, way, tables, exporter) for way in stated.staff),
        key,
        tuple(more),
        conditions_of(stated.where),
    )


def _rule(dataset: SqlDatasetForm, stated: RowsForm, tables: Tables, exporter: str) -> Rule:
    way: ByColumn | ByParent
    if stated.dataset is not None:
        is_qualified = "/" in stated.dataset or not exporter
        parent = stated.dataset if is_qualified else f"{exporter}/{stated.dataset}"
        way = ByParent(stated.column, parent, stated.key, stated.only_if_null)
    else:
        usual = Within.PLATFORM if dataset.tenant is None else Within.TENANT
        is_email = set(stated.identities) == {EMAIL}
        within = stated.within or usual
        way = ByColumn(
            stated.column, stated.identities, within, is_email, stated.only_if_null, within is Within.PLATFORM
        )
    if not stated.through:
        return way
    steps = (Step(tables[one.table], one.here, one.key, one.tenant, conditions_of(one.where)) for one in stated.through)
    return ByThrough(tuple(steps), way)


def source_of(form: SqlSourceForm, stated: SqlDatasetForm, tables: Tables, rows: RowFilter) -> TableSource:
    """Return how a dataset is read. Raises BadSetting, DuplicatePlugin, BrokenPlugin for its hooks."""
    table = tables[stated.table]
    return TableSource(
        dataset=dataset_of_map(form, stated),
        table=table,
        columns=tuple(
            field_column(table.c[stated.column_of(name)], field.type) for name, field in stated.fields.items()
        ),
        origin=table,
        order=tuple(table.c[name] for name in stated.order_columns),
        created=None if stated.created is None else table.c[stated.created],
        where=rows,
        filter=rows,
        retention=_retention(stated, table),
        file=_file(stated.file, table),
        deleted=None if stated.deleted is None else table.c[stated.deleted],
        withheld=tuple(table.c[name] for name in stated.withheld if name in table.c),
        changed=None if stated.changed is None else table.c[stated.changed],
    )


def _retention(dataset: SqlDatasetForm, table: Table) -> RowRetention | None:
    stated = dataset.retention
    if stated is None:
        return None
    if stated.hook is not None:
        hook: RetentionHook = load_hook(stated.hook)
        return hook(table, dataset.tenant)
    hold = None if stated.hold is None else table.c[stated.hold]
    if stated.until is not None:
        return Until(table.c[stated.until], hold)
    return Since(table.c[stated.since or ""], hold=hold)


def _file(stated: FileForm | None, table: Table) -> FileColumns | None:
    if stated is None:
        return None
    texts = [cast(null(), Text) if name is None else table.c[name] for name in (stated.media_type, stated.sha256)]
    # Sizes are compared and added up beyond the range of a short integer.
    size = cast(null() if stated.bytes is None else table.c[stated.bytes], BigInteger)
    return FileColumns(table.c[stated.key], texts[0], size, texts[1])
