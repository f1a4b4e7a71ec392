"""Rows of a tenant that lead to no person: the tenant gets them, and their number is reported.

Whatever a row may lead to is a table that is made once for the whole query and joined to the rows: to search for each
row would take as long as the rows of a tenant times its people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, func, not_, or_, select, true

from exporters.sql.belonging import (
    AddressBook,
    Belonging,
    ByAddress,
    ByColumn,
    ByMember,
    ByParent,
    Relations,
    Rule,
    Within,
)
from exporters.sql.columns import alias, folded, json_texts, members_of
from exporters.sql.identifiers import names_any, written
from exporters.sql.moments import moment_of
from exporters.sql.tenants import same_tenant
from portability.people.addresses import EMAIL

_SEPARATORS = ("tel:", "(0)", " ", "-", "(", ")", ".", "/")


@dataclass(frozen=True, slots=True)
class _JoinedWay:
    """One way by which rows lead to a person: a condition, and the tables that it needs beside the rows."""

    condition: ColumnElement[bool]
    joins: Sequence[tuple[FromClause, ColumnElement[bool]]] = ()
    """Each table with the condition of its join, which at most one of its rows fulfils for each row."""


@dataclass(frozen=True, slots=True)
class Unrelated:
    """The condition for rows that lead to no person, on `rows`: the dataset's origin with more tables joined to it."""

    condition: ColumnElement[bool]
    rows: FromClause


def leads_to_no_one(relations: Relations, dataset: str, tenant: str, origin: FromClause) -> Unrelated | None:
    """Return the tenant's rows that no record of a person can claim; None if rows of the dataset need no person.

    `origin` has the dataset's table; its rows are limited to the tenant by the query, and none comes twice. Addresses
    are compared without the separators of phone numbers and without ASCII case: the number of these rows is for
    information, and no row is left out because of it.
    """
    if relations.book is None:
        return None
    belonging = relations.belongings[dataset]
    found = list(_ways(relations, belonging, belonging.table, tenant))
    return Unrelated(not_(_any(found)), _joined(origin, found)) if found else None


def _any(ways: Iterable[_JoinedWay]) -> ColumnElement[bool]:
    return or_(*(way.condition for way in ways))


def _joined(rows: FromClause, ways: Iterable[_JoinedWay]) -> FromClause:
    for table, on in (join for way in ways for join in way.joins):
        rows = rows.outerjoin(table, on)
    return rows


def _ways(relations: Relations, belonging: Belonging, table: FromClause, tenant: str) -> Iterator[_JoinedWay]:
    if belonging.tenant:
        yield from filter(None, (_way(relations, belonging, rule, table, tenant) for rule in belonging.person))


def _way(relations: Relations, belonging: Belonging, rule: Rule, t: FromClause, tenant: str) -> _JoinedWay | None:
    if isinstance(rule, ByColumn):
        is_of_person = rule.within is Within.TENANT and relations.address_book().identity in rule.identities
        return _limited(_names_person(relations, belonging, rule, t), rule, t) if is_of_person else None
    if isinstance(rule, ByParent):
        return _limited(_has_parent(relations, rule, t, tenant), rule, t)
    if isinstance(rule, ByAddress):
        return _has_address(relations, rule, t, tenant)
    return _has_member(relations, belonging, rule, t, tenant) if isinstance(rule, ByMember) else None


def _limited(way: _JoinedWay | None, rule: ByColumn | ByParent, t: FromClause) -> _JoinedWay | None:
    """Return the way of the rows that fulfil the conditions of a rule."""
    if not (way and rule.where):
        return way
    # Not NULL: its negation would not be true.
    conditions = [func.coalesce(condition.on(t), false()) for condition in rule.where]
    return _JoinedWay(and_(way.condition, *conditions), way.joins)


def _names_person(relations: Relations, belonging: Belonging, rule: ByColumn, t: FromClause) -> _JoinedWay:
    book = relations.address_book()
    b = alias(book.table, belonging.table, rule)
    # By its primary key.
    same = (b.c[book.key] == t.c[rule.column], same_tenant(b.c[book.tenant], t.c[belonging.tenant or ""]))
    return _JoinedWay(select(1).select_from(b).where(*same).correlate(t).exists())


def _has_parent(relations: Relations, rule: ByParent, t: FromClause, tenant: str) -> _JoinedWay | None:
    parent = relations.belongings[rule.dataset]
    p = alias(parent.table, rule)
    ways = list(_ways(relations, parent, p, tenant))
    if not ways or parent.tenant is None:
        return None
    of_person = select(p.c[rule.key].label("key")).select_from(_joined(p, ways))
    parents = of_person.where(names_any(p.c[parent.tenant], [tenant]), _any(ways)).distinct().subquery()
    return _JoinedWay(parents.c.key.is_not(None), [(parents, parents.c.key == t.c[rule.column])])


def _has_address(relations: Relations, rule: ByAddress, t: FromClause, tenant: str) -> _JoinedWay:
    """Return the way of rows whose address is that of exactly one person, who had proved it by then."""
    people = _people(relations.address_book(), rule.identity, tenant)
    moment = _moment(t, rule.at)
    # Not NULL: its negation would not be true.
    conditions = [t.c[rule.unlinked].is_(None), func.coalesce(people.c.since <= moment, false())]
    conditions += [condition.on(t) for condition in rule.where]
    is_theirs = people.c.address == _form(rule.identity, t.c[rule.address])
    return _JoinedWay(and_(*conditions), [(people, and_(t.c[rule.unlinked].is_(None), is_theirs))])


def _has_member(relations: Relations, belonging: Belonging, rule: ByMember, t: FromClause, tenant: str) -> _JoinedWay:
    """Return the way of rows whose JSON value contains the key or the address of exactly one person."""
    book = relations.address_book()
    b = alias(book.table, rule, "named")
    m = alias(belonging.table, rule)
    texts = json_texts(members_of(m.c[rule.members])).table_valued("value", name="texts")
    moment = _moment(m, rule.at)
    is_key = written(b.c[book.key]) == texts.c.value
    named = select(1).select_from(b).where(is_key, names_any(b.c[book.tenant], [tenant]))
    found = [_JoinedWay(named.correlate(texts).exists())]
    for kind in sorted(book.addresses.keys() & set(rule.identities)):
        people = _people(book, kind, tenant)
        # Names are not compared with every number of the tenant.
        likely = texts.c.value.contains("@" if kind == EMAIL else "+")
        is_theirs = people.c.address == _form(kind, texts.c.value)
        is_proved = func.coalesce(people.c.since <= moment, false())
        found.append(_JoinedWay(is_proved, [(people, and_(likely, is_theirs))]))
    naming = select(m.c[belonging.key].label("key")).select_from(_joined(m.join(texts, true()), found))
    members = naming.where(names_any(m.c[belonging.tenant or ""], [tenant]), _any(found)).distinct().subquery()
    return _JoinedWay(members.c.key.is_not(None), [(members, members.c.key == t.c[belonging.key])])


def _moment(t: FromClause, names: Sequence[str]) -> ColumnElement[Any]:
    """Return the first of these times that is known."""
    times = [moment_of(t.c[name]) for name in names]
    # SQLite takes no function `coalesce` of one value.
    return func.coalesce(*times) if len(times) > 1 else times[0]


def _people(book: AddressBook, kind: str, tenant: str) -> FromClause:
    """Return a table of the addresses that exactly one person of the tenant has, and since when it is proved."""
    columns, b = book.addresses[kind], alias(book.table, kind)
    address = _form(kind, b.c[columns.address]).label("address")
    since = func.min(moment_of(b.c[columns.since])).label("since")
    at_tenant = select(address, since).where(names_any(b.c[book.tenant], [tenant]))
    return at_tenant.group_by(address).having(func.count() == 1).subquery()


def _form(kind: str, address: ColumnElement[str]) -> ColumnElement[str]:
    """Return an address as it is compared: e-mail in lower case, a phone number without the usual separators."""
    if kind == EMAIL:
        return folded(func.trim(address))
    for part in _SEPARATORS:
        address = func.replace(address, part, "")
    return address
