"""Compiles what a map says of people: which rows belong to whom, and which person or account has which address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import String, Table
from sqlalchemy.types import NullType

from exporters.sql.belonging import (
    AccountBook,
    AddressBook,
    AddressColumns,
    Belonging,
    ByAddress,
    ByColumn,
    ByMember,
    ByNotation,
    ByParent,
    BySoleAddress,
    ByThrough,
    RowCondition,
    Rule,
    Step,
    Within,
    sole,
)
from exporters.sql.identifiers import plain_type
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.people_forms import AddressForm
from exporters.sql.mapped.way_forms import (
    AddressKind,
    ConditionForm,
    MemberRowsForm,
    RowsForm,
    SoleAddressRowsForm,
    StepForm,
    WayForm,
)
from portability.people.addresses import EMAIL, PHONE

Tables = Mapping[str, Table]
"""The tables by the names that the map gives them, with the columns that it names."""


def kinds_of(form: SqlSourceForm) -> frozenset[str]:
    """Return the kinds of identities by which the rows of the map are selected."""
    return frozenset(kind for _, _, way in form.ways() for kind in _kinds(way))


def conditions_of(stated: Iterable[ConditionForm]) -> tuple[RowCondition, ...]:
    """Return the conditions that a map states."""
    return tuple(
        RowCondition(
            one.column,
            () if one.other_than is not None else tuple(one.values),
            is_null=one.null is True,
            is_not_null=one.null is False,
            other_than=one.other_than,
        )
        for one in stated
    )


def qualified(exporter: str, dataset: str) -> str:
    """Return the name of a dataset of the map, or of another map of the same platform, among all relations."""
    return dataset if "/" in dataset or not exporter else f"{exporter}/{dataset}"


def belonging_of(stated: SqlDatasetForm, tables: Tables, source: str, exporter: str = "") -> Belonging:
    """Return which rows of a dataset belong to whom.

    `source` is the name of the source; `exporter` precedes the names of datasets of the same map.
    """
    key, *more = stated.key_columns
    return Belonging(
        tables[stated.table],
        stated.tenant,
        (*_rules(stated, tables, exporter), *_notations(stated, tables, source, exporter)),
        tuple(_by_column(stated, way, tables, exporter) for way in stated.staff),
        key,
        tuple(more),
        conditions_of(stated.where),
    )


def book_of(form: SqlSourceForm, tables: Tables) -> AddressBook | None:
    """Return who has which address at a tenant; None if the map states no people."""
    people = form.people
    if people is None:
        return None
    return AddressBook(
        tables[people.table],
        _addresses(people.addresses),
        until=people.until,
        identity=people.identity,
        duplicate=people.duplicate,
        name=people.name,
        tenant=people.tenant,
        key=people.key,
    )


def accounts_of(form: SqlSourceForm, tables: Tables) -> AccountBook | None:
    """Return which account has which address; None if the map states no accounts."""
    accounts = form.accounts
    if accounts is None:
        return None
    return AccountBook(tables[accounts.table], _addresses(accounts.addresses), accounts.identity, accounts.key)


def step_of(stated: StepForm, tables: Tables) -> Step:
    """Return a table on the way from a row to what decides."""
    return Step(tables[stated.table], stated.here, stated.key, stated.tenant, conditions_of(stated.where))


def _addresses(stated: Mapping[AddressKind, AddressForm]) -> Mapping[str, AddressColumns]:
    return {str(kind): AddressColumns(one.column, one.since) for kind, one in stated.items()}


def _kinds(way: WayForm) -> Iterator[str]:
    if isinstance(way, RowsForm):
        yield from way.identities
    else:
        yield sole(way.identity) if isinstance(way, SoleAddressRowsForm) else way.gives


def _apart(dataset: SqlDatasetForm, way: WayForm, tables: Tables) -> Iterator[WayForm]:
    """Yield a way, or two if its column may have an e-mail address or an id: each is compared in its own form."""
    if isinstance(way, RowsForm) and {EMAIL} < {*way.identities}:
        table = way.through[-1].table if way.through else dataset.table
        if isinstance(plain_type(tables[table].c[way.column].type), String | NullType):
            yield way.model_copy(update={"identities": (EMAIL,)})
        yield way.model_copy(update={"identities": tuple(one for one in way.identities if one != EMAIL)})
    else:
        yield way


def _rules(stated: SqlDatasetForm, tables: Tables, exporter: str) -> Iterator[Rule]:
    for way in stated.rows:
        yield from (_rule(stated, one, tables, exporter) for one in _apart(stated, way, tables))


def _notations(stated: SqlDatasetForm, tables: Tables, source: str, exporter: str) -> Iterator[ByNotation]:
    """Yield the ways by other notations of phone numbers; an identity can name a row only by a key of one column."""
    gives = notation_of(stated, source)
    for way in stated.rows if gives else ():
        if isinstance(way, RowsForm) and way.has_notations:
            column = tables[way.through[-1].table if way.through else stated.table].c[way.column]
            rule = _by_column(stated, way.model_copy(update={"identities": (PHONE,)}), tables, exporter)
            inner = rule.way if isinstance(rule, ByThrough) else rule
            is_text = isinstance(plain_type(column.type), String | NullType)
            if is_text and isinstance(inner, ByColumn) and not isinstance(rule, ByParent):
                yield ByNotation(rule, inner, gives)


def notation_of(stated: SqlDatasetForm, source: str) -> str:
    """Return the kind of identities that name rows with another notation of a phone number; empty if it has none.

    No other source has the kind: in one that trusts this source, the keys would be those of other people's rows.
    """
    is_by_phone = any(isinstance(way, RowsForm) and way.has_notations for way in stated.rows)
    return f"{source}/{stated.name}_by_phone" if is_by_phone and len(stated.key_columns) == 1 else ""


def _rule(dataset: SqlDatasetForm, stated: WayForm, tables: Tables, exporter: str) -> Rule:
    if isinstance(stated, RowsForm):
        return _by_column(dataset, stated, tables, exporter)
    if isinstance(stated, SoleAddressRowsForm):
        return BySoleAddress(stated.sole_address, stated.identity, stated.unlinked, stated.name)
    if isinstance(stated, MemberRowsForm):
        return ByMember(stated.members, stated.identities, stated.at, stated.gives)
    where = conditions_of(stated.where)
    return ByAddress(stated.address, stated.identity, stated.unlinked, stated.at, stated.gives, where)


def _by_column(
    dataset: SqlDatasetForm, stated: RowsForm, tables: Tables, exporter: str
) -> ByColumn | ByParent | ByThrough:
    way: ByColumn | ByParent
    where = conditions_of(stated.where)
    own = () if stated.through else where
    if stated.dataset is not None:
        parent = qualified(exporter, stated.dataset)
        way = ByParent(stated.column, parent, stated.key, stated.only_if_null, stated.part, own)
    else:
        within = stated.within or dataset.usual_within
        is_email = set(stated.identities) == {EMAIL}
        # Where a sole address decides, it alone decides for subjects that are an address.
        has_sole = any(isinstance(one, SoleAddressRowsForm) for one in dataset.rows)
        serves_addresses = within is Within.PLATFORM and not has_sole
        way = ByColumn(stated.column, stated.identities, within, is_email, stated.only_if_null, serves_addresses, own)
    return ByThrough(tuple(step_of(one, tables) for one in stated.through), way, where) if stated.through else way
