"""Ways by which rows lead to a subject, as conditions in SQL: by a column, a parent, other tables, or a sole address.

Every step compares the tenants of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, FromClause, Select, and_, false, func, or_, select, tuple_, union

from exporters.sql.belonging import Belonging, ByColumn, ByParent, BySoleAddress, ByThrough, RowCondition
from exporters.sql.columns import VIEW, alias, folded
from exporters.sql.identifiers import fitting, is_among, own
from exporters.sql.moments import is_unset
from exporters.sql.tenants import exact_tenants, same_tenant
from portability.api import Subject
from portability.people.folding import fold

Make: TypeAlias = Callable[[FromClause], ColumnElement[bool]]
"""Makes a condition on a table or an alias of it."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way by which rows lead to the subject."""

    column: str
    """The column that names what a person must review, if it is unclear whether the row is the subject's."""
    make: Make


def column_way(belonging: Belonging, rule: ByColumn, found: Mapping[str | None, Sequence[Any]]) -> Way:
    """Return the way of rows whose column has one of the values, each at its tenant; None: on the whole platform."""

    def make(t: FromClause) -> ColumnElement[bool]:
        return _at_tenants(belonging, t, {tenant: _has(t, rule, values) for tenant, values in found.items()})

    return Way(rule.column, make)


def parent_way(belonging: Belonging, rule: ByParent, parent: Belonging, ways: Sequence[Way]) -> Way:
    """Return the way of rows that refer to a row of the parent to which any of its ways leads."""

    def make(t: FromClause) -> ColumnElement[bool]:
        p = alias(parent.table, belonging.table, rule)
        conditions = _of_parent(rule, parent, ways, p)
        if belonging.tenant is None or parent.tenant is None or rule.key == parent.tenant:
            return t.c[rule.column].in_(select(p.c[rule.key]).where(*conditions))
        tenants = t.c[belonging.tenant], p.c[parent.tenant]
        own, theirs = exact_tenants(*tenants)
        keys: Select[Any] = select(tenants[1], p.c[rule.key], *theirs).where(*conditions)
        return tuple_(tenants[0], t.c[rule.column], *own).in_(keys)

    return Way(rule.column, make)


def through_column(
    belonging: Belonging, rule: ByThrough, way: ByColumn, found: Mapping[str | None, Sequence[Any]]
) -> Way:
    """Return the way of rows that lead, by way of other tables, to a column with one of the values."""

    def make(t: FromClause) -> ColumnElement[bool]:
        steps = _Steps(belonging, rule)
        ends = {tenant: [_has(steps.last, way, values)] for tenant, values in found.items()}
        return _at_tenants(belonging, t, {name: steps.lead(t, steps.origin, end) for name, end in ends.items()})

    return Way(belonging.key, make)


def through_parent(belonging: Belonging, rule: ByThrough, way: ByParent, parent: Belonging, ways: Sequence[Way]) -> Way:
    """Return the way of rows that lead, by way of other tables, to a row of the parent."""

    def make(t: FromClause) -> ColumnElement[bool]:
        steps = _Steps(belonging, rule)
        p = alias(parent.table, belonging.table, rule)
        origin = steps.origin.join(p, steps.last.c[way.column] == p.c[way.key])
        tenants = [] if parent.tenant is None else [p.c[parent.tenant]]
        return steps.lead(t, origin, _of_parent(way, parent, ways, p), tenants)

    return Way(belonging.key, make)


class _Steps:
    """The tables of a path, joined in its order."""

    def __init__(self, belonging: Belonging, rule: ByThrough) -> None:
        self._belonging = belonging
        self._rule = rule
        tables = [alias(step.table, belonging.table, rule, place) for place, step in enumerate(rule.steps)]
        self.last = tables[-1]
        self.origin: FromClause = tables[0]
        for step, table, before in zip(rule.steps[1:], tables[1:], tables, strict=False):
            self.origin = self.origin.join(table, table.c[step.here] == before.c[step.key])
        self._first = tables[0]
        self._tenants = [t.c[step.tenant] for step, t in zip(rule.steps, tables, strict=True) if step.tenant]
        self._where = [one.on(t) for step, t in zip(rule.steps, tables, strict=True) for one in step.where]

    def lead(
        self,
        t: FromClause,
        origin: FromClause,
        ends: Sequence[ColumnElement[bool]],
        tenants: Sequence[ColumnElement[Any]] = (),
    ) -> ColumnElement[bool]:
        """Return the condition that a row of `t` leads to the ends; all named tenants are the row's."""
        step, tenant = self._rule.steps[0], self._belonging.tenant
        key, named = self._first.c[step.here], [*self._tenants, *tenants]
        conditions = [*ends, *self._where, *(same_tenant(one, named[0]) for one in named[1:])]
        if not named or tenant is None:
            return t.c[step.key].in_(select(key).select_from(origin).where(*conditions))
        own, theirs = exact_tenants(t.c[tenant], named[0])
        found: Select[Any] = select(named[0], key, *theirs).select_from(origin).where(*conditions)
        return tuple_(t.c[tenant], t.c[step.key], *own).in_(found)


def where_way(way: Way, conditions: Sequence[RowCondition]) -> Way:
    """Return a way of the rows that fulfil conditions."""

    def make(t: FromClause) -> ColumnElement[bool]:
        return and_(way.make(t), *(one.on(t) for one in conditions))

    return Way(way.column, make) if conditions else way


def sole_address_way(belonging: Belonging, rule: BySoleAddress, subject: Subject, *, unclear: bool) -> Way | None:
    """Return the way of rows without account under the subject's address; None for another subject."""
    notations = own(subject, rule.gives, verified=not unclear)
    if subject.kind != rule.identity or not notations:
        return None

    def make(t: FromClause) -> ColumnElement[bool]:
        return and_(t.c[rule.unlinked].is_(None), is_among(t.c[rule.sole_address], notations))

    # A row that someone must review is named by its key: the address is personal data.
    return Way(belonging.key, make)


def any_way(
    belonging: Belonging, ways: Sequence[Way], table: FromClause, *, by_key: bool = False
) -> ColumnElement[bool] | None:
    """Return the condition for rows that any way leads to; None without a way.

    Several ways are united by the rows' keys: each way uses its own index, and a row that is found twice comes once.
    Where the database does not make keys unique, another person's row may have the same key: the ways judge it, too.
    """
    if not ways:
        return None
    if len(ways) == 1 and not by_key:
        return limited(belonging, table, ways[0].make(table))
    branches = []
    for place, way in enumerate(ways):
        t = alias(belonging.table, place)
        branches.append(select(*_key(belonging, t)).where(way.make(t)))
    keys = branches[0] if len(branches) == 1 else union(*branches)
    own_key = _key(belonging, table)
    rows: ColumnElement[bool] = (own_key[0] if len(own_key) == 1 else tuple_(*own_key)).in_(keys)
    if VIEW in belonging.table.info:
        # Not NULL: its negation would not be true.
        rows = and_(rows, func.coalesce(or_(*(way.make(table) for way in ways)), false()))
    return limited(belonging, table, rows)


def limited(belonging: Belonging, table: FromClause, rows: ColumnElement[bool]) -> ColumnElement[bool]:
    """Limit rows to those that fulfil the conditions of the dataset."""
    return and_(rows, *(condition.on(table) for condition in belonging.where)) if belonging.where else rows


def _key(belonging: Belonging, table: FromClause) -> Sequence[ColumnElement[Any]]:
    return [table.c[name] for name in (belonging.key, *belonging.more_key)]


def _of_parent(rule: ByParent, parent: Belonging, ways: Sequence[Way], p: FromClause) -> list[ColumnElement[bool]]:
    found = any_way(parent, ways, p)
    conditions = [] if found is None else [found]
    if rule.only_if_null is not None:
        conditions.append(is_unset(p.c[rule.only_if_null]))
    return conditions


def _has(t: FromClause, rule: ByColumn, values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that the rule's column has one of the values."""
    column = t.c[rule.column]
    rows = folded(column).in_([fold(value) for value in values]) if rule.fold else is_among(column, values)
    return and_(is_unset(t.c[rule.only_if_null]), rows) if rule.only_if_null else rows


def _at_tenants(
    belonging: Belonging, t: FromClause, rows: Mapping[str | None, ColumnElement[bool]]
) -> ColumnElement[bool]:
    """Return the condition for rows of each tenant; None: of the whole platform."""
    if None in rows:
        return rows[None]
    if belonging.tenant is None:
        raise ValueError(f"{belonging.table.name}: a rule within a tenant needs a column that names the tenant")
    column = belonging.table.c[belonging.tenant]
    at_each = []
    for name, found in rows.items():
        if named := fitting(column, [name or ""]):
            at_each.append(and_(is_among(t.c[belonging.tenant], named), found))
    return or_(false(), *at_each)
