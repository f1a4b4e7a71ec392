"""Faults of an SQL map that its database shows: unknown tables and columns, wrong types, unclear orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import product

from sqlalchemy import ARRAY, JSON, Column, String, Text
from sqlalchemy.dialects.postgresql import HSTORE
from sqlalchemy.types import NullType

from exporters.maps.reading import MapFault
from exporters.sql.coded_texts import CodedText
from exporters.sql.columns import AlikeText, FixedText, LooseText
from exporters.sql.condition_values import condition_value
from exporters.sql.identifiers import can_be_id, fitting, plain_type
from exporters.sql.mapped.catalogue import Catalogue, FoundColumn, FoundTable
from exporters.sql.mapped.collations import may_mistake
from exporters.sql.mapped.databases import MYSQL, POSTGRESQL, SQLITE
from exporters.sql.mapped.field_columns import type_fault
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.stated import is_compared, times_faults, times_in
from exporters.sql.mapped.uses import TIMES, ColumnNeed, Steps, UsedColumn, used_columns, used_tables
from exporters.sql.mapped.way_forms import AddressRowsForm, MemberRowsForm
from exporters.sql.values import NUMBERS, field_type
from portability.api import FieldType

TEXT, TIME, DAY = FieldType.STRING, FieldType.DATETIME, FieldType.DATE
ALLOWED = {
    ColumnNeed.TIME: {TIME},
    ColumnNeed.DAY: {TIME, DAY},
    ColumnNeed.TRUTH: {FieldType.BOOLEAN, FieldType.INTEGER},
    ColumnNeed.MARK: {TIME, DAY, FieldType.BOOLEAN, FieldType.INTEGER},
    ColumnNeed.NUMBER: {FieldType.INTEGER},
}
"""The types that a column may have, by what the map needs of it."""
UNORDERED: Mapping[str, tuple[str, ...]] = {
    MYSQL: ("float", "enum", "set", "geometry", "vector"),
    SQLITE: ("json",),
}
"""Types that give no order: of single precision, or by the place of a word in the list of words."""
LISTS = (String, JSON, ARRAY, HSTORE)
"""Types of columns that may have members; SQLite stores JSON in columns without a type, too."""
TRANSACTIONS = frozenset({"xid8", "bigint"})


def database_faults(form: SqlSourceForm, kind: str, catalogue: Catalogue) -> Iterator[MapFault]:
    """Yield every fault, each with its place in the map. `kind` is that of the database."""
    if form.session.set and kind != POSTGRESQL:
        yield MapFault(("session", "set"), f"{kind} has no settings of a transaction", "`set` is for PostgreSQL")
    yield from _tables(form, catalogue)
    for one in used_columns(form):
        if one.table in catalogue:
            yield from _column(form, one, catalogue[one.table], kind)
    for place, dataset in enumerate(form.dataset):
        if dataset.table in catalogue:
            yield from _order(place, dataset, catalogue[dataset.table], kind)
            yield from _renewed(place, dataset, catalogue[dataset.table])
        yield from _join(place, dataset, catalogue)
        yield from _part(form, place, dataset, catalogue)
    yield from _pairs(form, catalogue, kind)
    yield from times_faults(form, catalogue)
    yield from _names_of_entries(form, catalogue)
    if kind == MYSQL:
        yield from _members(form)


def _tables(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[MapFault]:
    names: dict[tuple[str | None, str], str] = {}
    for used in used_tables(form):
        if used.table in catalogue:
            place = (catalogue[used.table].schema, used.table.rpartition(".")[2])
            if (other := names.setdefault(place, used.table)) != used.table:
                yield MapFault(used.path, f"{other!r} and {used.table!r} are one table", "write one of both everywhere")
        if used.table not in catalogue:
            hint = (
                "the account may lack the right to see it, or (MariaDB) EXECUTE on a function of the view, "
                "or the database cannot open it: a SELECT from it or DESCRIBE says why; "
                "`schema.table` names a table of another schema"
            )
            hint += ", and of a table with a dot in its own name a map names a view" if "." in used.table else ""
            yield MapFault(used.path, f"unknown table {used.table!r}", hint)
        elif catalogue[used.table].hides_rows and not form.session.set and not form.session.shows_all_rows:
            hint = "write the settings of the policies into [session], or shows_all_rows = true if they hide nothing"
            yield MapFault(used.path, f"row-level security hides rows of {used.table!r} from this account", hint)


def _column(form: SqlSourceForm, used: UsedColumn, table: FoundTable, kind: str) -> Iterator[MapFault]:
    found = table.columns.get(used.column)
    stated = times_in(form, used.table, used.column, found.type) if found else None
    if found is None:
        # An account of MariaDB does not see a column without a right to it.
        if used.use is not ColumnNeed.WITHHELD:
            near = get_close_matches(used.column, table.columns, 1)
            hint = f"the nearest name is {near[0]!r}" if near else ""
            yield MapFault(used.path, f"unknown column {used.column!r} of {used.table}", hint)
    elif used.use is ColumnNeed.FIELD:
        dataset, name = form.dataset[int(used.path[1])], str(used.path[3])
        if fault := type_fault(dataset.fields[name].type, found, stated):
            yield MapFault((*used.path[:4], "type"), f"{name}: {fault}")
    else:
        if not stated or used.use not in TIMES:
            yield from _wrong_type(used, found, kind)
        elif not is_compared(found, stated):
            what = f"{used.column!r} of {used.table} has times as texts, which the database does not compare"
            yield MapFault(used.path, what, "name a view that has them as times")
        yield from _wrong_values(used, found, kind)


def _unseen(path: Steps, table: str, column: str, found: FoundColumn) -> Iterator[MapFault]:
    """Yield the fault of a compared column whose operators PostgreSQL does not find: it takes those of a text."""
    if found.unseen:
        what = f"{column!r} of {table} is {found.unseen}: PostgreSQL does not find how to compare it"
        hint = "name the schema of the type in the account's search path: ALTER ROLE ... SET search_path = ..."
        yield MapFault(tuple(path), what, hint)


def _wrong_values(used: UsedColumn, found: FoundColumn, kind: str) -> Iterator[MapFault]:
    if used.values:
        yield from _unseen(used.path, used.table, used.column, found)
    # PostgreSQL compares such a number as a double, and 0.1 of single precision is another number.
    is_single = kind == POSTGRESQL and found.name_of_type == "real"
    for value in used.values:
        try:
            condition_value(found.type, value, is_single=is_single)
        except ValueError as error:
            what = f"{used.column!r} of {used.table} is {found.name_of_type}"
            yield MapFault(used.path, f"{what}: {value!r} must be {error}")


def _wrong_type(used: UsedColumn, found: FoundColumn, kind: str) -> Iterator[MapFault]:
    what = f"{used.column!r} of {used.table} is {found.name_of_type}"
    if used.use in {ColumnNeed.ID, ColumnNeed.FILE_KEY, ColumnNeed.ADDRESS, ColumnNeed.MEMBERS}:
        yield from _not_compared(used, found, kind, what)
    elif used.use is ColumnNeed.TRANSACTION:
        if kind != POSTGRESQL:
            yield MapFault(used.path, f"{kind} has no numbers of transactions that show open transactions", "use `at`")
        elif found.name_of_type not in TRANSACTIONS:
            yield MapFault(used.path, f"{what}, not xid8 or bigint")
    elif used.use in TIMES and kind == SQLITE and field_type(found.type) is FieldType.STRING:
        return  # SQLite has no type for times
    elif used.use in ALLOWED and field_type(found.type) not in ALLOWED[used.use]:
        yield MapFault(used.path, f"{what}, not {used.use}", _hint_of_type(used, field_type(found.type)))


def _not_compared(used: UsedColumn, found: FoundColumn, kind: str, what: str) -> Iterator[MapFault]:
    """Yield the fault of a column that can contain nothing that is compared with identities: it would select no row."""
    plain = plain_type(found.type)
    # PostgreSQL compares a type that the library does not know with no text. A column of SQLite may have no type.
    is_id = can_be_id(found.type) and not (kind == POSTGRESQL and isinstance(plain, NullType))
    if used.use is ColumnNeed.ID and not is_id:
        hint = "name a view that writes it as a text, such as hex(id) or encode(id, 'hex')"
        yield MapFault(used.path, f"{what}: it is compared with no id", hint)
    if used.use is ColumnNeed.FILE_KEY and not can_be_id(found.type):
        yield MapFault(used.path, f"{what}: it names no file", "name a view that writes it as a text")
    if used.use is ColumnNeed.ADDRESS and not isinstance(plain, String | NullType):
        hint = "name a view that writes it as a text, such as concat('+', phone)"
        yield MapFault(used.path, f"{what}, not {used.use}: it can contain no address", hint)
    if used.use is ColumnNeed.MEMBERS and not isinstance(plain, (*LISTS, NullType) if kind == SQLITE else LISTS):
        yield MapFault(used.path, f"{what}, not {used.use}", "name a view that writes it as JSON")


def _hint_of_type(used: UsedColumn, own: FieldType) -> str:
    """Return what to do about a column that has another type than the map needs."""
    hints = []
    if used.use in {ColumnNeed.MARK, ColumnNeed.TRUTH}:
        example = f", such as ({used.column} = 'Y') AS {used.column}" if own is TEXT else ""
        hints.append(f"name a view that writes it as a truth value{example}")
    elif used.use in TIMES and own is TEXT:
        hints.append("name a view that has it as a time")
    if used.use in TIMES and own in NUMBERS:
        hints.append(f'for times as numbers write [times] {used.column} = {{ format = "epoch_seconds" }}')
    return "; ".join(hints)


def _order(place: int, dataset: SqlDatasetForm, table: FoundTable, kind: str) -> Iterator[MapFault]:
    names = [name for name in dataset.order_columns if name in table.columns]
    at = ("dataset", place, "order" if dataset.order else "name")
    if len(names) == len(dataset.order_columns) and not table.identifies(names):
        hint = "end the order with the columns of a primary key or of a unique constraint"
        if table.is_inherited:
            hint = "tables inherit from it, and their keys are their own: name a view of all rows, with unique keys"
        yield MapFault(at, f"several rows of {dataset.table} may have the same {', '.join(names)}", hint)
    for name in names:
        yield from _unseen(at, dataset.table, name, table.columns[name])
        of_type = table.columns[name].unordered or table.columns[name].name_of_type.partition("(")[0]
        if table.columns[name].unordered or of_type.startswith(UNORDERED.get(kind, ())):
            hint = "order by other columns that are together unique, or name a view that writes it as a text"
            yield MapFault(at, f"{name!r} is {of_type}: its order is not that of its values as they are read", hint)
        # Where a table has no primary key, rows with NULL in another key are counted as rows of a view are.
        is_only_key = name in dataset.key_columns and not any(one.is_key for one in table.columns.values())
        if table.columns[name].nullable and not (table.columns[name].is_key or table.is_view or is_only_key):
            hint = "order by the primary key, or by columns that are together unique and never NULL"
            yield MapFault(at, f"{name!r} may be NULL: such rows have no place in the order", hint)
    key = dataset.key_columns
    if set(key) <= table.columns.keys() and not table.identifies(key):
        yield MapFault(
            ("dataset", place, "name"), f"the key {', '.join(key)} does not identify a row of {dataset.table}"
        )


def _renewed(place: int, dataset: SqlDatasetForm, table: FoundTable) -> Iterator[MapFault]:
    """Yield the columns that must not change and that the database sets at each change of their row."""
    at = ("dataset", place)
    needed: list[tuple[tuple[str | int, ...], str, str]] = [
        ((*at, "order" if dataset.order else "name"), name, "order: rows that change meanwhile would be missing")
        for name in dataset.order_columns
    ]
    if dataset.created:
        needed.append(((*at, "created"), dataset.created, "creation time: rows that change meanwhile would be missing"))
    for number, way in enumerate(dataset.rows):
        if isinstance(way, AddressRowsForm | MemberRowsForm):
            what = "time of its row, by which the address may be that of another person"
            needed += [((*at, "rows", number, "at"), name, what) for name in way.at]
    for path, name, what in needed:
        if name in table.columns and table.columns[name].is_renewed:
            seen = f"{name!r} of {dataset.table} is set again at each change of its row"
            yield MapFault(path, f"{seen}: it gives no {what}", "name columns that never change")


def _join(place: int, dataset: SqlDatasetForm, catalogue: Catalogue) -> Iterator[MapFault]:
    step = dataset.join
    if step is None or step.table not in catalogue or step.here not in catalogue[step.table].columns:
        return
    at = ("dataset", place, "join", "here")
    if not catalogue[step.table].identifies([step.here]):
        yield MapFault(at, f"several rows of {step.table} may have the same {step.here}: rows would come twice")
    own = (dataset.table, dataset.tenant)
    yield from _tenants(catalogue, ("dataset", place, "join", "tenant"), own, (step.table, step.tenant))


def _part(form: SqlSourceForm, place: int, dataset: SqlDatasetForm, catalogue: Catalogue) -> Iterator[MapFault]:
    """Yield the fault of a row that may be a part of several rows: it is read together with each of them."""
    way, by_name = dataset.part_of, {one.name: one for one in form.dataset}
    if way is not None and way.dataset in by_name:
        parent = by_name[way.dataset]
        names = {way.key, *([parent.tenant] if dataset.tenant and parent.tenant else [])}
        found = catalogue.get(parent.table)
        if found is not None and names <= found.columns.keys() and not found.identifies(names):
            path = ("dataset", place, "rows", dataset.rows.index(way), "column")
            message = f"several rows of {parent.table} may have the same {way.key}: their parts would come twice"
            yield MapFault(path, message, "a `part` names the other row by a column that is unique")


def _names_of_entries(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[MapFault]:
    """Yield the datasets that no entry of the outbox can name: their changes would not be seen."""
    tables = {one.name: one.table for one in form.dataset}
    for outbox, dataset in product(form.outboxes, form.changes.datasets if form.changes else ()):
        found = _found(catalogue, outbox.table, outbox.dataset)
        table = tables[dataset].rpartition(".")[2]
        schema = catalogue[tables[dataset]].schema if tables[dataset] in catalogue else None
        names = outbox.names.get(dataset) or (table, f"{schema}.{table}")
        if found is not None and not fitting(Column(outbox.dataset, found.type), names):
            what = f"{outbox.dataset!r} of {outbox.table} is {found.name_of_type}: it names no {dataset!r}"
            hint = f'write what it has instead: [changes.outbox] names = {{ {dataset} = ["..."] }}'
            yield MapFault(("changes", "outbox", "dataset"), what, hint)


def _members(form: SqlSourceForm) -> Iterator[MapFault]:
    for path, _, way in form.ways():
        if isinstance(way, MemberRowsForm):
            yield MapFault((*path, "members"), f"{MYSQL} cannot search all texts of a JSON value")


def _pairs(form: SqlSourceForm, catalogue: Catalogue, kind: str) -> Iterator[MapFault]:
    """Yield pairs of columns that a path compares and that have different types, or collations."""
    for path, first, second in form.compared():
        yield from _pair(catalogue, tuple(path), first, second)
        yield from _mistaken(catalogue, tuple(path), first, second, kind)
    for path, dataset, way in form.steps():
        own = (dataset.table, dataset.tenant)
        for number, step in enumerate(way.through):
            yield from _tenants(catalogue, (*path, "through", number, "tenant"), own, (step.table, step.tenant))
        if way.dataset is not None:
            parent = next(one for one in form.dataset if one.name == way.dataset)
            yield from _tenants(catalogue, (*path, "dataset"), own, (parent.table, parent.tenant))


def _tenants(
    catalogue: Catalogue, path: tuple[str | int, ...], first: tuple[str, str | None], second: tuple[str, str | None]
) -> Iterator[MapFault]:
    """Yield the fault of tenants of different types: MariaDB takes the text `1x` for the number 1."""
    (table, tenant), (other, of_other) = first, second
    if tenant is not None and of_other is not None:
        yield from _pair(catalogue, path, (table, tenant), (other, of_other))


def _pair(
    catalogue: Catalogue, path: tuple[str | int, ...], first: tuple[str, str], second: tuple[str, str]
) -> Iterator[MapFault]:
    one, other = (_found(catalogue, *names) for names in (first, second))
    for names_of, found in ((first, one), (second, other)):
        yield from _unseen(path, *names_of, found) if found else ()
    if one is not None and other is not None and _kind(one) is not _kind(other):
        names = f"{'.'.join(first)} ({one.name_of_type}) and {'.'.join(second)} ({other.name_of_type})"
        if field_type(one.type) is not field_type(other.type) or TEXT is field_type(one.type):
            hint = "name a view that writes one of them as the other is"
            yield MapFault(path, f"{names} have different types", hint)


def _mistaken(
    catalogue: Catalogue, path: tuple[str | int, ...], first: tuple[str, str], second: tuple[str, str], kind: str
) -> Iterator[MapFault]:
    """Yield the fault of a comparison that takes the keys `ann` and `ANN` of one of the columns for equal."""
    one, other = (_found(catalogue, *names) for names in (first, second))
    if one is not None and other is not None and may_mistake(one.collation, other.collation, kind):
        seen = " and ".join(
            f"{'.'.join(names)} ({found.collation or 'exact'})" for names, found in ((first, one), (second, other))
        )
        hint = "name a view that writes one of them in the collation of the other"
        yield MapFault(path, f"{seen} have different collations: a row could lead to the row of another key", hint)


def _kind(found: FoundColumn) -> type:
    return Text if isinstance(found.type, AlikeText | CodedText | FixedText | LooseText) else type(found.type)


def _found(catalogue: Catalogue, table: str, column: str) -> FoundColumn | None:
    return catalogue[table].columns.get(column) if table in catalogue else None
