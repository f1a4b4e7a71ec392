"""Row filters: compiles a belonging to the SQL condition for one subject's rows, on SQLite and PostgreSQL.

The same condition serves reading, counting and slicing. Every step compares the tenants of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from sqlalchemy import ColumnElement, FromClause, Select, and_, not_, or_, select, tuple_, union

from exporters.sql.belonging import Belonging, ByColumn, ByParent, BySoleAddress, Relations, Rule, Within
from exporters.sql.columns import alias, folded
from exporters.sql.unrelated import Unrelated, leads_to_no_one
from portability.api import Subject, SubjectKind
from portability.people.addresses import fold

Make: TypeAlias = Callable[[FromClause], ColumnElement[bool]]
"""Makes a condition on a table or an alias of it."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way by which rows lead to the subject."""

    column: str
    """The column that names what a person must review, if it is unclear whether the row is the subject's."""
    make: Make


@dataclass(frozen=True, slots=True)
class Unclear:
    """Rows of which it is unclear whether they belong to the subject."""

    column: str
    """The column that names them."""
    rows: ColumnElement[bool]


def own(subject: Subject, kind: str, *, verified: bool = True) -> tuple[str, ...]:
    """Return identifiers of the subject that are valid on the whole platform, not only for one tenant."""
    found = (i for i in subject.identities if i.verified is verified and i.kind == kind and not i.tenant)
    return tuple(dict.fromkeys(i.value for i in found))


def at_tenants(subject: Subject, kinds: Collection[str], *, verified: bool = True) -> Mapping[str, tuple[str, ...]]:
    """Return identifiers of the subject by the tenant where they are valid; a contact has those of its own tenant."""
    found: dict[str, dict[str, None]] = {}
    for i in subject.identities:
        is_own = subject.kind is not SubjectKind.CONTACT or i.tenant == subject.tenant
        if i.tenant and i.kind in kinds and i.verified is verified and is_own:
            found.setdefault(i.tenant, {})[i.value] = None
    return {tenant: tuple(values) for tenant, values in found.items()}


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
        clear = _any_way(belonging, [*self._all_ways(subject)], table, by_key=True)
        return [
            Unclear(way.column, way.make(table) if clear is None else and_(way.make(table), not_(clear)))
            for way in unclear
        ]

    def _of(self, subject: Subject) -> ColumnElement[bool] | None:
        belonging, table = self._belonging, self._belonging.table
        if subject.kind is not SubjectKind.TENANT:
            ways = list(self._all_ways(subject))
            is_direct = self._joined is not None and len(ways) == 1
            directly = self._directly(subject) if is_direct else None
            return _any_way(belonging, ways, table) if directly is None else directly
        rows, foreign = self._of_tenant(subject), self._foreign()
        if rows is None or foreign is None:
            return rows
        if self._joined is None:
            return and_(rows, not_(foreign))
        parent = self._relations.belongings[self._joined]
        return and_(rows, or_(parent.table.c[parent.key].is_not(None), not_(foreign)))

    def _of_tenant(self, subject: Subject) -> ColumnElement[bool] | None:
        belonging = self._belonging
        if belonging.tenant is None or not is_tenant(subject):
            return None
        return belonging.table.c[belonging.tenant] == subject.tenant

    def _foreign(self) -> ColumnElement[bool] | None:
        """Return the condition for rows that are part of a row of another tenant."""
        belonging = self._belonging
        for rule in belonging.person:
            if not isinstance(rule, ByParent) or not rule.is_part or belonging.tenant is None:
                continue
            parent = self._relations.belongings[rule.dataset]
            p, t = alias(parent.table, belonging.table, rule, "foreign"), belonging.table
            if parent.tenant is not None:
                other = (p.c[rule.key] == t.c[rule.column], p.c[parent.tenant] != t.c[belonging.tenant])
                return select(1).select_from(p).where(*other).correlate(t).exists()
        return None

    def _directly(self, subject: Subject) -> ColumnElement[bool] | None:
        """Return the condition on the columns of the joined parent, whose rows lead to the subject."""
        parent = self._relations.belongings[self._joined or ""]
        ways = list(self._ways(parent, parent.person, subject))
        return _any_way(parent, ways, parent.table)

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
                way = _by_sole_address(belonging, rule, subject, unclear=unclear)
            elif isinstance(rule, ByColumn):
                way = self._by_column(belonging, rule, subject, unclear=unclear)
            else:
                way = self._by_column(belonging, ByColumn(belonging.key, (rule.gives,)), subject, unclear=unclear)
            if way is not None:
                yield way

    def _by_column(self, belonging: Belonging, rule: ByColumn, subject: Subject, *, unclear: bool) -> Way | None:
        if rule.within is Within.PLATFORM:
            is_user = subject.kind is SubjectKind.USER and not unclear
            values = [value for kind in rule.identities for value in own(subject, kind)] if is_user else []
            return _platform_way(rule, values) if values else None
        kinds = frozenset(rule.identities) & self._relations.decided if unclear else frozenset(rule.identities)
        by_tenant = at_tenants(subject, kinds, verified=not unclear)
        return _tenant_way(belonging, rule, by_tenant) if by_tenant else None

    def _by_parent(
        self, belonging: Belonging, rule: ByParent, subject: Subject, *, unclear: bool, staff: bool
    ) -> Way | None:
        parent = self._relations.belongings[rule.dataset]
        ways = list(self._ways(parent, parent.staff if staff else parent.person, subject, unclear=unclear))
        if not ways:
            return None

        def make(t: FromClause) -> ColumnElement[bool]:
            p = alias(parent.table, belonging.table, rule)
            found = _any_way(parent, ways, p)
            conditions = [] if found is None else [found]
            if rule.only_if_null is not None:
                conditions.append(p.c[rule.only_if_null].is_(None))
            if belonging.tenant is None or parent.tenant is None or rule.key == parent.tenant:
                return t.c[rule.column].in_(select(p.c[rule.key]).where(*conditions))
            keys: Select[tuple[object, object]] = select(p.c[parent.tenant], p.c[rule.key]).where(*conditions)
            return tuple_(t.c[belonging.tenant], t.c[rule.column]).in_(keys)

        return Way(rule.column, make)


def _by_sole_address(belonging: Belonging, rule: BySoleAddress, subject: Subject, *, unclear: bool) -> Way | None:
    notations = own(subject, rule.gives, verified=not unclear)
    if subject.kind != rule.identity or not notations:
        return None

    def make(t: FromClause) -> ColumnElement[bool]:
        return and_(t.c[rule.unlinked].is_(None), t.c[rule.sole_address].in_(notations))

    # A row that someone must review is named by its key: the address is personal data.
    return Way(belonging.key, make)


def _platform_way(rule: ByColumn, values: Sequence[str]) -> Way:
    wanted = [fold(value) for value in values] if rule.fold else list(values)

    def make(t: FromClause) -> ColumnElement[bool]:
        column: ColumnElement[str] = folded(t.c[rule.column]) if rule.fold else t.c[rule.column]
        rows = column.in_(wanted)
        return rows if rule.only_if_null is None else and_(t.c[rule.only_if_null].is_(None), rows)

    return Way(rule.column, make)


def _tenant_way(belonging: Belonging, rule: ByColumn, by_tenant: Mapping[str, Sequence[str]]) -> Way:
    if belonging.tenant is None:
        raise ValueError(f"{belonging.table.name}: a rule within a tenant needs a column that names the tenant")

    def make(t: FromClause) -> ColumnElement[bool]:
        tenant, column = t.c[belonging.tenant or ""], t.c[rule.column]
        return or_(*(and_(tenant == name, column.in_(values)) for name, values in by_tenant.items()))

    return Way(rule.column, make)


def _any_way(
    belonging: Belonging, ways: Sequence[Way], table: FromClause, *, by_key: bool = False
) -> ColumnElement[bool] | None:
    """Return the condition for rows that any way leads to; None without a way.

    Several ways are united by the rows' keys: each way uses its own index, and a row that is found twice comes once.
    """
    if not ways:
        return None
    if len(ways) == 1 and not by_key:
        return ways[0].make(table)
    branches = []
    for place, way in enumerate(ways):
        t = alias(belonging.table, place)
        branches.append(select(t.c[belonging.key]).where(way.make(t)))
    keys = branches[0] if len(branches) == 1 else union(*branches)
    return table.c[belonging.key].in_(keys)
