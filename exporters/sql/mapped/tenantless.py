"""Rows that name no tenant: they reach no company and no contact, so a person signs that they are of no one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Enum,
    Integer,
    Numeric,
    Select,
    String,
    Uuid,
    literal_column,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from exporters.maps.reading import MapFault
from exporters.sql.belonging import Within
from exporters.sql.faults import check_answers, reading
from exporters.sql.identifiers import plain_type
from exporters.sql.mapped.belongings import Tables, conditions_of
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.limits import is_ended, limited
from exporters.sql.mapped.way_forms import ConditionForm, RowsForm
from portability.api import CoverageFinding, CoverageKind, SubjectKind
from portability.api.errors import SourceDamaged, SourceError

LOOK_SECONDS = 5.0
"""How long each table is searched at most: without an index its rows are read until one has no tenant."""
ALL_SECONDS = 60.0
"""How long all tables of a source are searched at most."""
ZEROS = "00000000-0000-0000-0000-000000000000"
NO_TENANT: Mapping[type[TypeEngine[Any]], Sequence[object]] = {
    String: ("", "0", ZEROS),
    Integer: (0,),
    Numeric: (Decimal(0),),
    Uuid: (ZEROS,),
}
"""By type: values that programs write for no tenant in a column without NULL."""
OF_TENANTS = frozenset({SubjectKind.CONTACT, SubjectKind.TENANT})


@dataclass(frozen=True, slots=True)
class TenantPlace:
    """A place of a map that compares the tenant of rows."""

    table: str
    column: str
    where: tuple[ConditionForm, ...]
    """Conditions for the rows that it reads."""
    dataset: str = ""
    """The dataset whose rows or values are missing; empty: those of several, or of a draft."""
    needed: tuple[str, ...] = ()
    """Columns that have a value in each row that it uses."""

    @property
    def name(self) -> str:
        """Return what a decision names."""
        return f"{self.table}.{self.column}"


def tenant_places(form: SqlSourceForm) -> Iterator[TenantPlace]:
    """Yield every place of a map at which a row without tenant leads nowhere."""
    used = {way.dataset for _, dataset, way in form.steps() if dataset.fields}
    for dataset in form.dataset:
        if not dataset.fields and dataset.name not in used:
            continue
        shown = dataset.name if dataset.fields else ""
        if dataset.tenant and _compares(form, dataset):
            yield TenantPlace(dataset.table, dataset.tenant, dataset.where, shown)
        steps = [step for way in (*dataset.exact_rows, *dataset.staff) for step in way.through]
        for step in (*steps, *([dataset.join] if dataset.join else ())):
            if step.tenant:
                yield TenantPlace(step.table, step.tenant, step.where, shown)
    if form.people:
        yield TenantPlace(form.people.table, form.people.tenant, ())
    for one in form.identity:
        if one.tenant:
            yield TenantPlace(one.table, one.tenant, one.where, needed=(one.column, one.value))


def signature_faults(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield the signatures about columns by which the map names no tenant."""
    named = {one.name for one in tenant_places(form)}
    named |= {f"{one.table}.{one.tenant}" for one in form.dataset if one.tenant}
    for place, decision in enumerate(form.decision):
        for name in decision.without_tenant:
            if name not in named:
                hint = "`table.column`, as a dataset, a look-up or a step has it as `tenant`"
                yield MapFault(("decision", place, "without_tenant"), f"the map names no tenant by {name!r}", hint)


def found(
    engine: Engine, source: str, form: SqlSourceForm, catalogue: Catalogue, tables: Tables
) -> Iterator[CoverageFinding]:
    """Yield the columns of tenants that are empty in some rows, and those that could not be searched.

    Raises: SourceUnavailable, SourceRefused.
    """
    signed = {name for decision in form.decision for name in decision.without_tenant}
    deadline = time.monotonic() + ALL_SECONDS
    known: dict[tuple[object, ...], CoverageKind | None] = {}
    shown: dict[str, set[str]] = defaultdict(set)
    for one in tenant_places(form):
        column = tables[one.table].c[one.column]
        is_nullable = catalogue[one.table].columns[one.column].nullable
        # Of rows that no session shows it is only known whether they can be there.
        is_hidden = form.session.needs_tenant and catalogue[one.table].hides_rows
        empty = [] if is_hidden and not is_nullable else _empty(column, is_nullable=is_nullable)
        is_shown = one.dataset in shown[one.name] or (shown[one.name] and not one.dataset)
        if not empty or one.name in signed or is_shown:
            continue
        key = (one.name, one.where, one.needed)
        if key not in known:
            can_look = not is_hidden and time.monotonic() < deadline
            known[key] = _look(engine, source, one, tables, empty) if can_look else CoverageKind.NOT_COMPARED
        if kind := known[key]:
            shown[one.name].add(one.dataset)
            yield CoverageFinding(kind, one.table, one.column, one.dataset, detail=_detail(kind))


def _compares(form: SqlSourceForm, dataset: SqlDatasetForm) -> bool:
    """Return whether a way of the dataset compares its tenant: those of accounts of the whole platform do not."""
    ways = (*dataset.rows, *dataset.staff)
    of_platform = [
        isinstance(way, RowsForm) and bool(way.identities) and (way.within or dataset.usual_within) is Within.PLATFORM
        for way in ways
    ]
    return bool((dataset.kinds or form.kinds) & OF_TENANTS) or not all(of_platform)


def _empty(column: Column[str], *, is_nullable: bool) -> Sequence[ColumnElement[bool]]:
    """Return the conditions for rows without tenant. Empty: the column excludes them."""
    plain = plain_type(column.type)
    kinds = (kind for kind in NO_TENANT if isinstance(plain, kind) and not isinstance(plain, Enum))
    values = [type_coerce(column, plain).in_(NO_TENANT[kind]) for kind in kinds]
    return [*([column.is_(None)] if is_nullable else []), *values]


def _look(
    engine: Engine, source: str, place: TenantPlace, tables: Tables, empty: Sequence[ColumnElement[bool]]
) -> CoverageKind | None:
    """Return the kind of what one search finds; None: every row has a tenant.

    Raises: SourceUnavailable, SourceRefused if the database answers nothing; SourceDamaged.
    """
    table = tables[place.table]
    has_value = (table.c[name].is_not(None) for name in place.needed)
    conditions = (one.on(table) for one in conditions_of(place.where))
    query: Select[int] = (
        select(literal_column("1", Integer)).select_from(table).where(or_(*empty), *has_value, *conditions).limit(1)
    )
    try:
        with reading(engine, f"{source}: {place.name}") as connection:
            return _searched(connection, query)
    except SourceDamaged:
        raise
    except SourceError:
        check_answers(engine, source)
        return CoverageKind.QUERY_REFUSED


def _searched(connection: Connection, query: Select[int]) -> CoverageKind | None:
    try:
        with limited(connection, LOOK_SECONDS):
            return CoverageKind.TENANTLESS if connection.execute(query).first() else None
    except DBAPIError as error:
        if not is_ended(error):
            raise
        return CoverageKind.NOT_COMPARED


def _detail(kind: CoverageKind) -> str:
    if kind is CoverageKind.TENANTLESS:
        return "rows name no tenant here: no company and no contact gets them"
    if kind is CoverageKind.QUERY_REFUSED:
        return "the database does not read this table"
    return "not searched to its end for rows without a tenant: an index finds them, row-level security hides them"
