"""Rows whose column has a phone number of the subject in another notation than the identity.

The ways of a map compare a phone number by its bytes, and sources write one number in many notations. So these rows
are searched when a subject is resolved, as rows under an address are (`address_matches`): an identity names each of
them. It is unverified, and a gap `needs_review`, if the number of the row has no country code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, not_, or_, select

from exporters.sql.address_candidates import may_contain
from exporters.sql.belonging import Belonging, ByNotation, ByThrough, Within
from exporters.sql.identifiers import at_tenants, is_among, names_any, own, written
from exporters.sql.ways import Way, column_way, limited, through_column, where_way
from portability.api import ADDRESS_KINDS, Identity, Subject, SubjectKind
from portability.people.addresses import PHONE, is_national, normal
from portability.people.resolution import shared


def identities(
    connection: Connection, source: str, belongings: Iterable[Belonging], subject: Subject
) -> Iterator[Identity]:
    """Yield an identity for each row that has a number of the subject in another notation."""
    for belonging in belongings:
        for rule in belonging.person:
            if isinstance(rule, ByNotation):
                for tenant, numbers in _numbers(rule, subject):
                    key = ("notations", connection.engine, belonging.table, rule, tenant, tuple(numbers))
                    rows = shared(key, partial(_rows, connection, belonging, rule, tenant, numbers))
                    for name, is_certain in rows:
                        yield Identity(source, rule.gives, name, verified=is_certain, tenant=tenant)


def _numbers(rule: ByNotation, subject: Subject) -> Iterator[tuple[str | None, Sequence[str]]]:
    """Yield the tenants where numbers of the subject are valid, each with its proved numbers; None: everywhere."""
    if rule.column.within is Within.TENANT:
        yield from at_tenants(subject, {PHONE}).items()
        return
    is_served = subject.kind is SubjectKind.USER or (rule.column.for_addresses and subject.kind in ADDRESS_KINDS)
    if is_served and (numbers := own(subject, PHONE)):
        yield None, numbers


def _rows(
    connection: Connection, belonging: Belonging, rule: ByNotation, tenant: str | None, numbers: Sequence[str]
) -> Sequence[tuple[str, bool]]:
    """Return the keys of the rows with other notations of these numbers, and whether they are certain."""
    certain, possible = _notations(connection, belonging, rule, tenant, numbers)
    return [
        (name, is_certain)
        for notations, is_certain in ((certain, True), (possible, False))
        if notations
        for name in _keys(connection, belonging, rule, {tenant: notations})
    ]


def _notations(
    connection: Connection, belonging: Belonging, rule: ByNotation, tenant: str | None, numbers: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return what the column has that is one of the numbers, and what may be one without its country code."""
    steps = rule.steps
    table = steps[-1].table if steps else belonging.table
    at = steps[-1].tenant if steps else belonging.tenant
    column = table.c[rule.column.column]
    conditions = [or_(*(may_contain(column, PHONE, number) for number in numbers)), not_(is_among(column, numbers))]
    if tenant and at:
        conditions.append(names_any(table.c[at], [tenant]))
    found = [*connection.scalars(select(written(column)).where(*conditions).distinct().order_by(written(column)))]
    forms = {normal(PHONE, number) for number in numbers}
    certain = [text for text in found if normal(PHONE, text) in forms]
    national = [text for text in found if any(is_national(PHONE, text, number) for number in numbers)]
    return certain, national


def _keys(
    connection: Connection, belonging: Belonging, rule: ByNotation, found: Mapping[str | None, Sequence[str]]
) -> Sequence[str]:
    """Return the keys of the rows that lead to one of the notations."""
    t = belonging.table
    way = where_way(_way(belonging, rule, found), rule.way.where)
    key = written(t.c[belonging.key])
    return connection.scalars(select(key).where(limited(belonging, t, way.make(t))).order_by(key)).all()


def _way(belonging: Belonging, rule: ByNotation, found: Mapping[str | None, Sequence[str]]) -> Way:
    if isinstance(rule.way, ByThrough):
        return through_column(belonging, rule.way, rule.column, found)
    return column_way(belonging, rule.column, found)
