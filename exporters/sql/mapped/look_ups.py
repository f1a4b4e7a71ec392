"""Look-ups of a map: rows that contain a verified identity of the subject give further identities.

The database selects candidates; here each of them is compared with the identity again, by bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, literal, null, select

from exporters.sql.belonging import Belonging, ByColumn, RowCondition
from exporters.sql.identifiers import fitting, is_among, own, written
from exporters.sql.mapped.belongings import Tables, conditions_of
from exporters.sql.mapped.people_forms import SqlIdentityForm
from exporters.sql.marks import is_set
from exporters.sql.sole_addresses import may_be
from exporters.sql.tenants import exact_tenants
from portability.api import ADDRESS_KINDS, STAFF_IDENTITY, Identity, Subject, SubjectKind
from portability.api.errors import SourceRefused
from portability.people.addresses import normal
from portability.people.resolution import shared


@dataclass(frozen=True, slots=True)
class IdentityColumn:
    """A column with identities that a look-up finds."""

    column: Column[str]
    gives: str
    """Their kind."""
    verified: Column[str] | bool

    @property
    def proved(self) -> ColumnElement[bool]:
        """Return whether the identity of a row is proved, as an expression."""
        return literal(self.verified) if isinstance(self.verified, bool) else is_set(self.verified)


@dataclass(frozen=True, slots=True)
class LookUp:
    """A look-up in one table, which may find several identities in a row."""

    table: Table
    kind: str
    """The kind of the identity that `column` contains."""
    column: Column[str]
    tenant: Column[str] | None
    where: tuple[RowCondition, ...]
    kinds: frozenset[SubjectKind] | None
    """Kinds of subjects for which it is made; None: all."""
    found: tuple[IdentityColumn, ...]

    def serves(self, subject: Subject) -> bool:
        """Return whether it is made for a subject."""
        return self.kinds is None or subject.kind in self.kinds

    def identities(self, connection: Connection, source: str, subject: Subject) -> Iterator[Identity]:
        """Yield the identities that the rows of the subject give, in a stable order."""
        for known in self._known(subject) if self.serves(subject) else ():
            # Several exporters of a platform state the same look-up: it is made once in a round of a resolution.
            key = ("look-up", connection.engine, self.column, self.tenant, self.where, self.found, known)
            for gives, value, tenant, is_verified in shared(key, partial(self._values, connection, known)):
                yield Identity(source, gives, value, verified=is_verified, tenant=tenant)

    def _values(self, connection: Connection, known: Identity) -> Sequence[tuple[str, str, str | None, bool]]:
        """Return (kind, value, tenant, whether it is proved) of the rows that contain an identity."""
        # A row that names no tenant is at none of them, and its identities are valid nowhere.
        has_tenants = self.tenant is not None
        rows = [row for row in self._rows(connection, known) if row[0] or not has_tenants]
        for place, one in enumerate(self.found):
            _check_texts(one.column, [row[2 * place] for _, row in rows])
        return [
            (one.gives, value, tenant, is_verified)
            for place, one in enumerate(self.found)
            for value, is_verified, tenant in sorted(
                ((row[2 * place], bool(row[2 * place + 1]), tenant) for tenant, row in rows if row[2 * place]),
                key=lambda found: found[0],
            )
        ]

    def is_known(self, connection: Connection, subject: Subject) -> bool:
        """Return whether a row contains the identity that the request names."""
        return next(iter(self._rows(connection, subject.identities[0])), None) is not None

    def _known(self, subject: Subject) -> Iterator[Identity]:
        """Yield the subject's verified identities of the kind that the column contains."""
        for one in subject.identities:
            is_elsewhere = subject.kind is SubjectKind.CONTACT and one.tenant != subject.tenant
            if one.kind == self.kind and one.verified and not is_elsewhere:
                yield one

    def _rows(self, connection: Connection, known: Identity) -> Iterator[tuple[str | None, Sequence[Any]]]:
        """Yield the tenant, and value and proof of each found column, of the rows that contain an identity."""
        conditions = self._conditions(known)
        if conditions is None:
            return
        tenant = null() if self.tenant is None else written(self.tenant)
        found = [column for one in self.found for column in (written(one.column), one.proved)]
        for value, at_tenant, *others in connection.execute(
            select(written(self.column), tenant, *found).where(*conditions)
        ):
            if _is_same(known, value):
                if self.tenant is not None:
                    _check_texts(self.tenant, [at_tenant])
                yield at_tenant, others

    def _conditions(self, known: Identity) -> list[ColumnElement[bool]] | None:
        """Return the conditions for rows that may contain an identity; None: no row can."""
        if known.kind in ADDRESS_KINDS:
            may_contain = may_be(self.column, known.kind, known.value)
        elif values := fitting(self.column, [known.value]):
            may_contain = is_among(self.column, values)
        else:
            return None
        conditions = [may_contain, *(one.on(self.table) for one in self.where)]
        if known.tenant is None:
            return conditions
        # An identity of one tenant leads to rows of this tenant only.
        named = [] if self.tenant is None else fitting(self.tenant, [known.tenant])
        if self.tenant is None or not named:
            return None
        return [*conditions, is_among(self.tenant, named)]


def look_ups(stated: Iterable[SqlIdentityForm], tables: Tables) -> Iterator[LookUp]:
    """Yield the look-ups that a map states; those that read the same rows are one."""
    found: dict[Hashable, list[SqlIdentityForm]] = {}
    for one in stated:
        found.setdefault((one.table, one.kind, one.column, one.tenant, one.where, one.kinds), []).append(one)
    for same in found.values():
        one, table = same[0], tables[same[0].table]
        yield LookUp(
            table,
            one.kind,
            table.c[one.column],
            None if one.tenant is None else table.c[one.tenant],
            conditions_of(one.where),
            one.kinds,
            tuple(
                IdentityColumn(
                    table.c[each.value],
                    each.gives,
                    table.c[each.verified] if isinstance(each.verified, str) else each.verified,
                )
                for each in same
            ),
        )


def staff_identities(
    connection: Connection, source: str, belongings: Sequence[Belonging], subject: Subject
) -> Iterator[Identity]:
    """Yield a user as a member of staff of each tenant where a row names the account."""
    accounts = own(subject, "user_id") if subject.kind is SubjectKind.USER else ()
    rules = [
        (
            one.table.c[one.tenant],
            one.table.c[rule.column],
            [condition.on(one.table) for condition in (*one.where, *rule.where)],
        )
        for one in belongings
        for rule in one.staff
        if isinstance(rule, ByColumn) and STAFF_IDENTITY in rule.identities and one.tenant is not None
    ]
    for account in accounts:
        for tenant, column, where in rules:
            if named := fitting(column, [account]):
                names = written(tenant), *exact_tenants(tenant, tenant)[0]
                rows: Select[Any] = select(*names).where(is_among(column, named), *where).distinct().order_by(*names)
                for found in filter(None, connection.scalars(rows)):
                    yield Identity(source, STAFF_IDENTITY, account, verified=True, tenant=found)


def _check_texts(column: Column[str], values: Iterable[object]) -> None:
    """Raise SourceRefused for bytes, which a column of texts of SQLite may have: they are compared with no identity."""
    if any(isinstance(value, bytes) for value in values):
        raise SourceRefused(
            f"{column.table.name}.{column.name}: an identity is stored as bytes, not as a text",
            hint="name a view that writes it with cast(... as text), or store it as a text",
        )


def _is_same(known: Identity, found: object) -> bool:
    if not isinstance(found, str):
        return False
    if known.kind in ADDRESS_KINDS:
        return normal(known.kind, found) == normal(known.kind, known.value)
    return found == known.value
