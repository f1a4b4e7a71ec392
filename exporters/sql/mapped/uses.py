"""What a map uses of its database: each table and column, with its place in the map and what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from exporters.sql.condition_values import Scalar
from exporters.sql.mapped.change_forms import OutboxForm
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.people_forms import AccountsForm, PeopleForm
from exporters.sql.mapped.way_forms import (
    AddressRowsForm,
    ConditionForm,
    MemberRowsForm,
    RowsForm,
    SoleAddressRowsForm,
    WayForm,
)
from portability.api import ADDRESS_KINDS

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
    ID = "an id"
    """It is compared with an identity of the subject, or with its tenant."""
    FILE_KEY = "the key of a file"
    ADDRESS = "a text"
    """It contains an e-mail address or a phone number."""
    MEMBERS = "JSON, a text or an array"
    """It contains identities or addresses, at any depth."""
    TRANSACTION = "the number of a transaction"
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
    values: Sequence[Scalar] = ()
    """With which it is compared."""


@dataclass(frozen=True, slots=True)
class UsedTable:
    """A table that a map names."""

    path: Steps
    table: str


def used_tables(form: SqlSourceForm) -> Iterator[UsedTable]:
    """Yield every table that is read, each time it is named."""
    if form.session.tenants is not None:
        yield UsedTable(("session", "tenants", "table"), form.session.tenants.table)
    for key, stated in (("people", form.people), ("accounts", form.accounts)):
        if stated is not None:
            yield UsedTable((key, "table"), stated.table)
    for outbox in form.outboxes:
        yield UsedTable(("changes", "outbox", "table"), outbox.table)
    for place, look_up in enumerate(form.identity):
        yield UsedTable(("identity", place, "table"), look_up.table)
    for place, dataset in enumerate(form.dataset):
        yield UsedTable(("dataset", place, "table"), dataset.table)
        if dataset.join is not None:
            yield UsedTable(("dataset", place, "join", "table"), dataset.join.table)
    for path, _, way in form.steps():
        for number, step in enumerate(way.through):
            yield UsedTable((*path, "through", number, "table"), step.table)


def used_columns(form: SqlSourceForm) -> Iterator[UsedColumn]:
    """Yield every column that is read, each time it is named."""
    if form.session.tenants is not None:
        tenants = form.session.tenants
        yield UsedColumn(("session", "tenants", "column"), tenants.table, tenants.column, ColumnNeed.ID)
    if form.people is not None:
        yield from _of_people("people", form.people, ("key", "tenant", "name"))
        if form.people.until is not None:
            yield UsedColumn(("people", "until"), form.people.table, form.people.until, ColumnNeed.TIME)
    if form.accounts is not None:
        yield from _of_people("accounts", form.accounts, ("key",))
    for outbox in form.outboxes:
        yield from _of_outbox(outbox)
    for place, look_up in enumerate(form.identity):
        found = {"column": _compared([look_up.kind]), "value": _compared([look_up.gives]), "tenant": ColumnNeed.ID}
        named = [(name, getattr(look_up, name), use) for name, use in found.items()]
        uses = [UsedColumn((name,), look_up.table, column, use) for name, column, use in named if column]
        if isinstance(look_up.verified, str):
            uses.append(UsedColumn(("verified",), look_up.table, look_up.verified, ColumnNeed.MARK))
        yield from _below(("identity", place), (*uses, *_conditions(look_up.table, look_up.where)))
    for place, dataset in enumerate(form.dataset):
        yield from _below(("dataset", place), _of_dataset(dataset))
    for path, dataset, way in form.ways():
        yield from _below(path, _of_way(form, dataset, way))


def _of_outbox(outbox: OutboxForm) -> Iterator[UsedColumn]:
    needs = {"transaction": ColumnNeed.TRANSACTION, "at": ColumnNeed.TIME}
    for key in ("dataset", "key", "transaction", "at", "tenant"):
        if (column := getattr(outbox, key)) is not None:
            yield UsedColumn(("changes", "outbox", key), outbox.table, column, needs.get(key, ColumnNeed.ANY))


def _of_people(part: str, stated: PeopleForm | AccountsForm, keys: Sequence[str]) -> Iterator[UsedColumn]:
    for key in keys:
        yield UsedColumn((part, key), stated.table, getattr(stated, key), ColumnNeed.ID)
    for kind, columns in stated.addresses.items():
        yield UsedColumn((part, "addresses", kind, "column"), stated.table, columns.column, ColumnNeed.ADDRESS)
        yield UsedColumn((part, "addresses", kind, "since"), stated.table, columns.since, ColumnNeed.TIME)


def _of_dataset(dataset: SqlDatasetForm) -> Iterator[UsedColumn]:
    table = dataset.table
    for name, column in dataset.own_columns.items():
        path = ("fields", name, "column") if dataset.fields[name].column else ("fields", name)
        yield UsedColumn(path, table, column, ColumnNeed.FIELD)
    yield from _of_join(dataset)
    yield from (UsedColumn(("withheld", name), table, name, ColumnNeed.WITHHELD) for name in dataset.withheld)
    yield from (UsedColumn(("order",), table, name) for name in dataset.order)
    times = (("created", ColumnNeed.TIME), ("changed", ColumnNeed.TIME), ("deleted", ColumnNeed.MARK))
    for key, use in (("tenant", ColumnNeed.ID), *times):
        if (column := getattr(dataset, key)) is not None:
            yield UsedColumn((key,), table, column, use)
    if dataset.retention is not None:
        rule = dataset.retention
        uses = {"until": ColumnNeed.TIME, "since": ColumnNeed.DAY, "hold": ColumnNeed.TRUTH}
        yield from _keys(rule.model_dump(exclude_none=True, exclude={"hook", "where"}), "retention", table, uses)
        yield from _below(("retention",), _conditions(table, rule.where))
    if dataset.file is not None:
        uses = {"key": ColumnNeed.FILE_KEY, "bytes": ColumnNeed.NUMBER}
        yield from _keys(dataset.file.model_dump(exclude_none=True), "file", table, uses)
    yield from _conditions(table, dataset.where)


def _keys(found: dict[str, str], key: str, table: str, uses: dict[str, ColumnNeed]) -> Iterator[UsedColumn]:
    for name, column in found.items():
        yield UsedColumn((key, name), table, column, uses.get(name, ColumnNeed.ANY))


def _of_join(dataset: SqlDatasetForm) -> Iterator[UsedColumn]:
    join = dataset.join
    if join is None:
        return
    found = [UsedColumn(("key",), dataset.table, join.key), UsedColumn(("here",), join.table, join.here)]
    if join.tenant is not None:
        found.append(UsedColumn(("tenant",), join.table, join.tenant, ColumnNeed.ID))
    yield from _below(("join",), (*found, *_conditions(join.table, join.where)))
    for name, field in dataset.fields.items():
        if field.joined is not None:
            yield UsedColumn(("fields", name, "joined"), join.table, field.joined, ColumnNeed.FIELD)


def _of_way(form: SqlSourceForm, dataset: SqlDatasetForm, way: WayForm) -> Iterator[UsedColumn]:
    if isinstance(way, RowsForm):
        yield from _of_step(form, dataset, way)
        return
    if isinstance(way, MemberRowsForm):
        yield UsedColumn(("members",), dataset.table, way.members, ColumnNeed.MEMBERS)
    else:
        yield from _of_addresses(dataset.table, way)
    for column in () if isinstance(way, SoleAddressRowsForm) else way.at:
        yield UsedColumn(("at",), dataset.table, column, ColumnNeed.TIME)
    if isinstance(way, AddressRowsForm):
        yield from _conditions(dataset.table, way.where)


def _of_addresses(table: str, way: AddressRowsForm | SoleAddressRowsForm) -> Iterator[UsedColumn]:
    keys = ("sole_address", "unlinked", "name") if isinstance(way, SoleAddressRowsForm) else ("address", "unlinked")
    for key in keys:
        if column := getattr(way, key):
            use = ColumnNeed.ADDRESS if key in {"sole_address", "address"} else ColumnNeed.ANY
            yield UsedColumn((key,), table, column, use)


def _of_step(form: SqlSourceForm, dataset: SqlDatasetForm, way: RowsForm) -> Iterator[UsedColumn]:
    table = dataset.table
    yield from _conditions(table, way.where)
    for number, step in enumerate(way.through):
        at = ("through", number)
        yield UsedColumn((*at, "key"), table, step.key)
        table = step.table
        yield UsedColumn((*at, "here"), table, step.here)
        if step.tenant is not None:
            yield UsedColumn((*at, "tenant"), table, step.tenant, ColumnNeed.ID)
        yield from _below(at, _conditions(table, step.where))
    yield UsedColumn(("column",), table, way.column, _compared(way.identities) if way.identities else ColumnNeed.ANY)
    parents = [one.table for one in form.dataset if one.name == way.dataset]
    yield from (UsedColumn(("key",), parent, way.key) for parent in parents)
    if way.only_if_null is not None:
        yield UsedColumn(("only_if_null",), table, way.only_if_null)


def _compared(kinds: Iterable[str]) -> ColumnNeed:
    """Return what a column with identities of these kinds must be."""
    return ColumnNeed.ADDRESS if ADDRESS_KINDS.issuperset(kinds) else ColumnNeed.ID


def _conditions(table: str, where: Iterable[ConditionForm]) -> Iterator[UsedColumn]:
    for number, condition in enumerate(where):
        at = ("where", number, "column")
        yield UsedColumn(at, table, condition.column, values=condition.values)


def _below(path: Steps, uses: Iterable[UsedColumn]) -> Iterator[UsedColumn]:
    return (replace(use, path=(*path, *use.path)) for use in uses)
