"""Row filters: compiles a belonging to the SQL condition for one subject's rows, on SQLite and PostgreSQL.

The same condition serves reading, counting and slicing. Every step compares the tenants of both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, and_, not_, or_, select

from exporters.sql.belonging import (
    Belonging,
    ByColumn,
    ByNotation,
    ByParent,
    BySoleAddress,
    ByThrough,
    Relations,
    Rule,
    Within,
)
from exporters.sql.columns import alias
from exporters.sql.identifiers import at_tenants, fitting, is_among, own
from exporters.sql.tenants import same_tenant
from exporters.sql.unrelated import Unrelated, leads_to_no_one
from exporters.sql.ways import (
    Way,
    any_way,
    column_way,
    limited,
    parent_way,
    sole_address_way,
    through_column,
    through_parent,
    where_way,
)
from portability.api import ADDRESS_KINDS, Subject, SubjectKind


@dataclass(frozen=True, slots=True)
class Unclear:
    """Rows of which it is unclear whether they belong to the subject."""

    column: str
    """The column that names them."""
    rows: ColumnElement[bool]


def is_tenant(subject: Subject) -> bool:
    """Return whether the subject is a tenant, with a verified identity at itself."""
    named = at_tenants(subject, {"tenant_id"}).get(subject.tenant or "", ())
    return subject.kind is SubjectKind.TENANT and subject.tenant in named


class RowFilter:
    """The rows of one dataset that belong to a subject.

    `joined` names a parent whose table is outer-joined to the dataset's own, with equal tenants.
    """

    def __init__(self, relations: Relations, dataset: str, joined: str | None = None) -> None:
        self._relations = relations
        self._dataset = dataset
        self._belonging = relations.belongings[dataset]
        self._joined = joined
        self._cached = lru_cache(maxsize=1)(self._of)  # used twice in an export: the rows are counted, then read

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds of identities by which it selects."""
        return self._relations.kinds(self._dataset)

    @property
    def belonging(self) -> Belonging:
        return self._belonging

    def __call__(self, subject: Subject) -> ColumnElement[bool] | None:
        """Return the condition for the subject's rows; None: it can have none."""
        return self._cached(subject)

    def unrelated(self, subject: Subject, origin: FromClause) -> Unrelated | None:
        """Return the rows of a tenant that lead to no person; None for people, and if none is needed."""
        if is_tenant(subject) and subject.tenant:
            return leads_to_no_one(self._relations, self._dataset, subject.tenant, origin)
        return None

    def unclear(self, subject: Subject) -> Sequence[Unclear]:
        """Return the conditions for rows that someone must review before they are delivered.

        For a tenant these are its rows that are part of a row of another tenant.
        """
        if subject.kind is SubjectKind.TENANT:
            rows, delivered = self._of_tenant(subject), self(subject)
            may_be_foreign = self._foreign() is not None
            if may_be_foreign and rows is not None and delivered is not None:
                return [Unclear(self._belonging.key, and_(rows, not_(delivered)))]
            return []
        belonging, table = self._belonging, self._belonging.table
        unclear = list(self._ways(belonging, belonging.person, subject, unclear=True))
        if not unclear:
            return []
        clear = any_way(belonging, [*self._all_ways(subject)], table, by_key=True)
        return [
            Unclear(way.column, rows if clear is None else and_(rows, not_(clear)))
            for way in unclear
            for rows in (limited(belonging, table, way.make(table)),)
        ]

    def _of(self, subject: Subject) -> ColumnElement[bool] | None:
        belonging, table = self._belonging, self._belonging.table
        if subject.kind is not SubjectKind.TENANT:
            ways = list(self._all_ways(subject))
            is_direct = self._joined is not None and len(ways) == 1
            directly = self._directly(subject) if is_direct else None
            return any_way(belonging, ways, table) if directly is None else directly
        rows, foreign = self._of_tenant(subject), self._foreign()
        if rows is None or foreign is None:
            return rows
        if self._joined is None:
            return and_(rows, not_(foreign))
        parent = self._relations.belongings[self._joined]
        return and_(rows, or_(parent.table.c[parent.key].is_not(None), not_(foreign)))

    def _of_tenant(self, subject: Subject) -> ColumnElement[bool] | None:
        belonging = self._belonging
        if belonging.tenant is None or not is_tenant(subject) or subject.tenant is None:
            return None
        column = belonging.table.c[belonging.tenant]
        named = fitting(column, [subject.tenant])
        return limited(belonging, belonging.table, is_among(column, named)) if named else None

    def _foreign(self) -> ColumnElement[bool] | None:
        """Return the condition for rows that are part of a row of another tenant."""
        belonging = self._belonging
        for rule in belonging.person:
            if not isinstance(rule, ByParent) or not rule.is_part or belonging.tenant is None:
                continue
            parent = self._relations.belongings[rule.dataset]
            p, t = alias(parent.table, belonging.table, rule, "foreign"), belonging.table
            if parent.tenant is not None:
                is_same = same_tenant(p.c[parent.tenant], t.c[belonging.tenant])
                other = (p.c[rule.key] == t.c[rule.column], not_(is_same))
                return select(1).select_from(p).where(*other).correlate(t).exists()
        return None

    def _directly(self, subject: Subject) -> ColumnElement[bool] | None:
        """Return the condition on the columns of the joined parent, whose rows lead to the subject."""
        parent = self._relations.belongings[self._joined or ""]
        ways = list(self._ways(parent, parent.person, subject))
        rows = any_way(parent, ways, parent.table)
        return None if rows is None else limited(self._belonging, self._belonging.table, rows)

    def _all_ways(self, subject: Subject) -> Iterator[Way]:
        yield from self._ways(self._belonging, self._belonging.person, subject)
        yield from self._ways(self._belonging, self._belonging.staff, subject)

    def _ways(
        self, belonging: Belonging, rules: Sequence[Rule], subject: Subject, *, unclear: bool = False
    ) -> Iterator[Way]:
        """Yield the ways that this subject's identities open; a parent is reached by rules of the same part."""
        for rule in rules:
            if isinstance(rule, ByParent):
                way = self._by_parent(belonging, rule, subject, unclear=unclear, staff=rules is belonging.staff)
            elif isinstance(rule, BySoleAddress):
                way = sole_address_way(belonging, rule, subject, unclear=unclear)
            elif isinstance(rule, ByThrough):
                way = self._by_through(belonging, rule, subject, unclear=unclear, staff=rules is belonging.staff)
            elif isinstance(rule, ByColumn):
                way = self._by_column(belonging, rule, subject, unclear=unclear)
            elif isinstance(rule, ByNotation):
                way = self._by_column(belonging, rule.by_key(belonging.key), subject, unclear=unclear)
            else:
                way = self._by_column(belonging, ByColumn(belonging.key, (rule.gives,)), subject, unclear=unclear)
            if way is not None:
                yield where_way(way, rule.where) if isinstance(rule, ByColumn | ByParent | ByThrough) else way

    def _by_column(self, belonging: Belonging, rule: ByColumn, subject: Subject, *, unclear: bool) -> Way | None:
        found = self._identities(belonging, rule, belonging.table.c[rule.column], subject, unclear=unclear)
        return column_way(belonging, rule, found) if found else None

    def _identities(
        self, belonging: Belonging, rule: ByColumn, column: Column[Any], subject: Subject, *, unclear: bool
    ) -> Mapping[str | None, Sequence[Any]]:
        """Return the values that the column may have, by tenant; under None for the whole platform."""
        by_tenant: Iterable[tuple[str | None, Sequence[str]]]
        kinds = [kind for kind in rule.identities if not unclear or kind in self._relations.decided]
        if rule.within is Within.PLATFORM:
            has_account = subject.kind is SubjectKind.USER or (rule.for_addresses and subject.kind in ADDRESS_KINDS)
            values = [value for kind in kinds for value in own(subject, kind, verified=not unclear)]
            # Where row-level security shows one tenant at a time, the subject has this tenant.
            by_tenant = [(subject.tenant if belonging.tenant else None, values if has_account else ())]
        else:
            by_tenant = at_tenants(subject, kinds, verified=not unclear).items()
        found = {tenant: fitting(column, values) for tenant, values in by_tenant}
        return {tenant: values for tenant, values in found.items() if values}

    def _by_parent(
        self, belonging: Belonging, rule: ByParent, subject: Subject, *, unclear: bool, staff: bool
    ) -> Way | None:
        parent = self._relations.belongings[rule.dataset]
        ways = list(self._ways(parent, parent.staff if staff else parent.person, subject, unclear=unclear))
        return parent_way(belonging, rule, parent, ways) if ways else None

    def _by_through(
        self, belonging: Belonging, rule: ByThrough, subject: Subject, *, unclear: bool, staff: bool
    ) -> Way | None:
        if isinstance(rule.way, ByColumn):
            column = rule.steps[-1].table.c[rule.way.column]
            found = self._identities(belonging, rule.way, column, subject, unclear=unclear)
            return through_column(belonging, rule, rule.way, found) if found else None
        parent = self._relations.belongings[rule.way.dataset]
        ways = list(self._ways(parent, parent.staff if staff else parent.person, subject, unclear=unclear))
        return through_parent(belonging, rule, rule.way, parent, ways) if ways else None
