"""Rows of a tenant that lead to no person: the tenant gets them, and their number is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, func, not_, or_, select

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
from exporters.sql.columns import folded, json_texts
from portability.people.addresses import EMAIL

_SEPARATORS = ("tel:", "(0)", " ", "-", "(", ")", ".", "/")


def leads_to_no_one(relations: Relations, dataset: str) -> ColumnElement[bool] | None:
    """Return the condition for rows that no record of a person can claim; None if rows of the dataset need no person.

    Addresses are compared without the separators of phone numbers and without ASCII case: the number of these rows is
    for information, and no row is left out because of it.
    """
    belonging = relations.belongings[dataset]
    found = list(_ways(relations, belonging, belonging.table))
    return not_(or_(*found)) if found else None


def _ways(relations: Relations, belonging: Belonging, table: FromClause) -> Iterator[ColumnElement[bool]]:
    for rule in belonging.person:
        way = None if belonging.tenant is None else _way(relations, belonging, rule, table)
        if way is not None:
            yield way


def _way(relations: Relations, belonging: Belonging, rule: Rule, t: FromClause) -> ColumnElement[bool] | None:
    if isinstance(rule, ByColumn):
        is_of_person = rule.within is Within.TENANT and relations.book.identity in rule.identities
        return _names_person(relations, belonging, rule, t) if is_of_person else None
    if isinstance(rule, ByParent):
        return _has_parent(relations, belonging, rule, t)
    if isinstance(rule, ByAddress):
        return _has_address(relations, belonging, rule, t)
    return _has_member(relations, belonging, rule, t) if isinstance(rule, ByMember) else None


def _names_person(relations: Relations, belonging: Belonging, rule: ByColumn, t: FromClause) -> ColumnElement[bool]:
    book = relations.book
    b = book.table.alias()
    same = (b.c[book.key] == t.c[rule.column], b.c[book.tenant] == t.c[belonging.tenant or ""])
    return select(1).select_from(b).where(*same).correlate(t).exists()


def _has_parent(
    relations: Relations, belonging: Belonging, rule: ByParent, t: FromClause
) -> ColumnElement[bool] | None:
    parent = relations.belongings[rule.dataset]
    p = parent.table.alias()
    ways = list(_ways(relations, parent, p))
    if not ways or parent.tenant is None:
        return None
    same = (p.c[rule.key] == t.c[rule.column], p.c[parent.tenant] == t.c[belonging.tenant or ""])
    return select(1).select_from(p).where(*same, or_(*ways)).correlate(t).exists()


def _has_address(relations: Relations, belonging: Belonging, rule: ByAddress, t: FromClause) -> ColumnElement[bool]:
    """Return the condition for rows whose address is that of exactly one person, who had proved it by then."""
    row = _TenantRow(t, t.c[belonging.tenant or ""], func.coalesce(*(t.c[name] for name in rule.at)))
    conditions = [t.c[rule.unlinked].is_(None), _is_of_one(relations.book, rule.identity, t.c[rule.address], row)]
    if rule.when is not None:
        conditions.append(t.c[rule.when[0]] == rule.when[1])
    if rule.unless is not None:
        conditions.append(t.c[rule.unless[0]].is_distinct_from(rule.unless[1]))
    return and_(*conditions)


def _has_member(relations: Relations, belonging: Belonging, rule: ByMember, t: FromClause) -> ColumnElement[bool]:
    """Return the condition for rows whose JSON value contains the key or the address of exactly one person."""
    book, b = relations.book, relations.book.table.alias()
    texts = json_texts(t.c[rule.members]).table_valued("value", name="texts")
    row = _TenantRow(t, t.c[belonging.tenant or ""], func.coalesce(*(t.c[name] for name in rule.at)), texts)
    named = select(1).select_from(b).where(b.c[book.key] == texts.c.value, b.c[book.tenant] == row.tenant)
    found: list[ColumnElement[bool]] = [named.correlate(t, texts).exists()]
    for kind in sorted(book.addresses.keys() & set(rule.identities)):
        # Names are not compared with every number of the tenant.
        likely = texts.c.value.contains("@" if kind == EMAIL else "+")
        found.append(and_(likely, _is_of_one(book, kind, texts.c.value, row)))
    return select(1).select_from(texts).where(or_(*found)).correlate(t).exists()


@dataclass(frozen=True, slots=True)
class _TenantRow:
    """A row whose address is compared: its table, the columns of tenant and time, and a table that is made of it."""

    table: FromClause
    tenant: ColumnElement[str]
    moment: ColumnElement[Any]
    made: FromClause | None = None


def _is_of_one(book: AddressBook, kind: str, address: ColumnElement[str], row: _TenantRow) -> ColumnElement[bool]:
    """Return the condition that one person of the tenant has the address, and had proved it at the time of the row."""
    columns, b = book.addresses[kind], book.table.alias()
    other = b.c[columns.address]
    equal = folded(func.trim(address)) == folded(other) if kind == EMAIL else _plain(address) == _plain(other)
    outer = [row.table] if row.made is None else [row.table, row.made]
    owners = select(func.count()).select_from(b).where(equal, b.c[book.tenant] == row.tenant).correlate(*outer)
    since = owners.with_only_columns(func.min(b.c[columns.since])).scalar_subquery()
    # Not NULL: its negation would not be true.
    return and_(owners.scalar_subquery() == 1, func.coalesce(since <= row.moment, false()))


def _plain(number: ColumnElement[str]) -> ColumnElement[str]:
    """Return a phone number without the usual separators."""
    for part in _SEPARATORS:
        number = func.replace(number, part, "")
    return number
