"""Compiles an SQL map: to the tables, row filters and sources that the engine for SQL reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Column, ColumnElement, FromClause, MetaData, Table, Text, and_, cast, null
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.types import TypeEngine

from exporters.maps.forms import dataset_of
from exporters.maps.hooks import load_hook
from exporters.sql.belonging import AccountBook, Belonging, Relations
from exporters.sql.columns import NEVER, VIEW, WITHHELD, IntegerTruth, SourceTime
from exporters.sql.conversations import Whole
from exporters.sql.identifiers import written
from exporters.sql.mapped.belongings import (
    Tables,
    accounts_of,
    belonging_of,
    book_of,
    conditions_of,
    qualified,
    step_of,
)
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.documents import documents_of, of_parent, whole_of
from exporters.sql.mapped.field_columns import field_column, joined_column
from exporters.sql.mapped.forms import FileForm, SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.stated import stored_type, times_in
from exporters.sql.mapped.uses import TIMES, ColumnNeed, used_columns
from exporters.sql.moments import STATED, StatedTimes
from exporters.sql.retention import Since, Until
from exporters.sql.row_filter import RowFilter
from exporters.sql.source import FILE, FILE_TEXT, FileColumns, RowRetention, TableSource
from exporters.sql.tenants import same_tenant
from exporters.sql.values import field_type
from portability.api import Dataset, DisclosureFields, Field, FieldType

RetentionHook: TypeAlias = Callable[[Table, str | None], RowRetention]
"""Makes the rule of a dataset's table, given the name of the column of its tenant. Group `portability.hooks`."""


@dataclass(frozen=True, slots=True)
class CompiledMap:
    """What the engine for SQL reads."""

    tables: Tables
    sources: Sequence[TableSource]
    relations: Relations
    accounts: AccountBook | None
    whole: Whole | None

    @property
    def belongings(self) -> Sequence[Belonging]:
        """Return which rows of each dataset belong to whom."""
        return list(self.relations.belongings.values())


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


def datasets_of_map(form: SqlSourceForm) -> Sequence[Dataset]:
    """Return the datasets that a map offers: without drafts, and with the documents of its conversations."""
    found = [dataset_of_map(form, one) for one in form.dataset if not one.is_draft]
    return found if form.conversations is None else [*found, documents_of(form, form.conversations)]


def compile_map(form: SqlSourceForm, catalogue: Catalogue, source: str) -> CompiledMap:
    """Compile the map of a source that fits its database."""
    tables = _tables(form, catalogue)
    by_name = {one.name: belonging_of(one, tables, source) for one in form.dataset}
    relations = Relations(by_name, book_of(form, tables))
    sources = sources_of(form, tables, relations)
    return CompiledMap(tables, sources, relations, accounts_of(form, tables), whole_of(form, sources))


def sources_of(form: SqlSourceForm, tables: Tables, relations: Relations, exporter: str = "") -> Sequence[TableSource]:
    """Return how the datasets of a map are read. Raises BadSetting, DuplicatePlugin, BrokenPlugin for their hooks."""
    return [source_of(form, one, tables, relations, exporter) for one in form.dataset if not one.is_draft]


def _tables(form: SqlSourceForm, catalogue: Catalogue) -> Tables:
    metadata = MetaData()
    names: dict[str, dict[str, TypeEngine[Any]]] = defaultdict(dict)
    for used in used_columns(form):
        if (found := catalogue[used.table].columns.get(used.column)) is not None:
            is_plain = used.column not in names[used.table] or used.use in {*TIMES, ColumnNeed.TRUTH}
            stated = times_in(form, used.table, used.column, found.type)
            if is_plain:
                names[used.table][used.column] = _type(found.type, used.use, stated)
    withheld = {(one.table, name): form_ for one in form.dataset for name, form_ in one.withheld.items()}
    tables = {}
    for name, columns in names.items():
        made = []
        for column, kind in columns.items():
            never, found = withheld.get((name, column)), catalogue[name].columns[column]
            info: dict[str, Any] = {NEVER: never.reason, WITHHELD: never.withheld(column)} if never else {}
            if times := times_in(form, name, column, found.type):
                info[STATED] = times
            made.append(Column(column, kind, nullable=found.nullable, info=info))
        # With its schema a statement reads the table that was checked, and no other of its name.
        described = {VIEW: True} if catalogue[name].is_view else {}
        tables[name] = Table(name.rpartition(".")[2], metadata, *made, schema=catalogue[name].schema, info=described)
    return tables


def _type(found: TypeEngine[Any], use: ColumnNeed, stated: StatedTimes | None) -> TypeEngine[Any]:
    """Return the type by which a column is compared: the map knows times of SQLite, and truth values in integers."""
    if stated:
        return stored_type(found, stated)
    kind = field_type(found)
    if use in TIMES and kind is FieldType.STRING:
        return SourceTime()
    is_truth = use in {ColumnNeed.TRUTH, ColumnNeed.MARK} and kind is FieldType.INTEGER
    return IntegerTruth() if is_truth else found


def source_of(
    form: SqlSourceForm, stated: SqlDatasetForm, tables: Tables, relations: Relations, exporter: str = ""
) -> TableSource:
    """Return how a dataset is read; `exporter` precedes its name in the relations.

    Raises: BadSetting, DuplicatePlugin, BrokenPlugin for its hooks.
    """
    table, parent = tables[stated.table], _parent(form, stated)
    joined = None if parent is None else qualified(exporter, parent.name)
    rows = RowFilter(relations, qualified(exporter, stated.name), joined)
    created_of_parent = None if parent is None or parent.created is None else tables[parent.table].c[parent.created]
    return TableSource(
        dataset=dataset_of_map(form, stated),
        table=table,
        columns=tuple(_value(stated, name, tables) for name in stated.fields),
        origin=_origin(stated, parent, tables),
        order=tuple(table.c[name] for name in stated.order_columns),
        created=None if stated.created is None else table.c[stated.created],
        where=rows,
        filter=rows,
        retention=_retention(stated, parent, tables),
        file=_file(stated.file, table),
        deleted=None if stated.deleted is None else table.c[stated.deleted],
        is_view=VIEW in table.info,
        withheld=tuple(table.c[name] for name in stated.withheld if name in table.c),
        changed=None if stated.changed is None else table.c[stated.changed],
        created_of_parent=created_of_parent,
    )


def _parent(form: SqlSourceForm, stated: SqlDatasetForm) -> SqlDatasetForm | None:
    """Return the dataset of whose rows the rows are a part."""
    way = stated.part_of
    return None if way is None else next(one for one in form.dataset if one.name == way.dataset)


def _value(stated: SqlDatasetForm, name: str, tables: Tables) -> NamedColumn[Any]:
    """Return what is selected for a field."""
    field, own = stated.fields[name], stated.own_columns.get(name)
    column = None if own is None else tables[stated.table].c[own]
    if stated.join is None or field.joined is None:
        of_table = tables[stated.table].c[stated.column_of(name)]
        is_place = of_table.name in {*stated.key_columns, *stated.order_columns}
        return field_column(of_table, field.type, is_place=is_place)
    return joined_column(name, tables[stated.join.table].c[field.joined], column, field.type)


def _origin(stated: SqlDatasetForm, parent: SqlDatasetForm | None, tables: Tables) -> FromClause:
    """Return the dataset's table with the row of which its row is a part, and with the row of its `join`.

    Both are outer joins, because the other row may be missing. All sides name the same tenant.
    """
    table = tables[stated.table]
    origin: FromClause = table
    tenant = None if stated.tenant is None else table.c[stated.tenant]
    if parent is not None and stated.part_of is not None:
        p = tables[parent.table]
        origin = origin.outerjoin(p, of_parent(stated, table, parent, p))
    if stated.join is not None:
        step = step_of(stated.join, tables)
        same = [table.c[step.key] == step.table.c[step.here], *(one.on(step.table) for one in step.where)]
        if tenant is not None and step.tenant is not None:
            same.append(same_tenant(tenant, step.table.c[step.tenant]))
        origin = origin.outerjoin(step.table, and_(*same))
    return origin


def _retention(dataset: SqlDatasetForm, parent: SqlDatasetForm | None, tables: Tables) -> RowRetention | None:
    """Return the rule of a dataset; a part has that of the row to which it belongs, unless it has a rule itself."""
    stated, table = dataset.retention, tables[dataset.table]
    if stated is None:
        return None if parent is None else _retention(parent, None, tables)
    if stated.hook is not None:
        hook: RetentionHook = load_hook(stated.hook)
        return hook(table, dataset.tenant)
    hold = None if stated.hold is None else table.c[stated.hold]
    where = tuple(one.on(table) for one in conditions_of(stated.where))
    if stated.until is not None:
        return Until(table.c[stated.until], hold, where)
    return Since(table.c[stated.since or ""], hold, where)


def _file(stated: FileForm | None, table: Table) -> FileColumns | None:
    if stated is None:
        return None
    texts = [cast(null(), Text) if name is None else table.c[name] for name in (stated.media_type, stated.sha256)]
    size: ColumnElement[Any] = null() if stated.bytes is None else table.c[stated.bytes]
    if not isinstance(size.type, BigInteger):
        # Sizes are compared and added up beyond the range of a short integer.
        size = cast(size, BigInteger)
    return FileColumns(written(table.c[stated.key]), texts[0], size, texts[1])
