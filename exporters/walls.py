"""Which rows are a subject's: by verified identities only, each within the tenant where it means the subject."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, or_, select

from exporters import schema
from exporters.columns import fold, folded
from exporters.source import Where
from portability.api import Subject, SubjectKind

USERS = frozenset({SubjectKind.USER})
TENANTS = frozenset({SubjectKind.TENANT})
USERS_AND_TENANTS = USERS | TENANTS
EVERYONE = frozenset(SubjectKind)


def own(subject: Subject, kind: str) -> tuple[str, ...]:
    """Verified identifiers that mean the subject on the whole platform, not just for one tenant."""
    return tuple(dict.fromkeys(i.value for i in subject.identities if i.verified and i.kind == kind and not i.tenant))


def within(subject: Subject, kind: str, tenant: str) -> tuple[str, ...]:
    """Verified identifiers that mean the subject at this tenant."""
    found = (i.value for i in subject.identities if i.verified and i.kind == kind and i.tenant == tenant)
    return tuple(dict.fromkeys(found))


def tenants_of(subject: Subject) -> tuple[str, ...]:
    """The tenants where the subject is a contact; a contact is one of its own tenant alone."""
    found = (i.tenant for i in subject.identities if i.verified and i.kind == "contact_id" and i.tenant)
    if subject.kind is SubjectKind.CONTACT:
        found = (tenant for tenant in found if tenant == subject.tenant)
    return tuple(dict.fromkeys(found))


def owned(*, user: Column[Any] | None = None, tenant: Column[Any] | None = None) -> Where:
    """A user's own rows, or all rows of a tenant."""

    def where(subject: Subject) -> ColumnElement[bool] | None:
        if subject.kind is SubjectKind.USER and user is not None:
            return _among(user, own(subject, "user_id"))
        if subject.kind is SubjectKind.TENANT and tenant is not None and subject.tenant is not None:
            return tenant == subject.tenant if subject.tenant in within(subject, "tenant_id", subject.tenant) else None
        return None

    return where


def written_by(user: Column[Any], email: Column[Any]) -> Where:
    """A user's own rows, and those under a verified e-mail address of theirs that no account claims."""

    def where(subject: Subject) -> ColumnElement[bool] | None:
        if subject.kind is not SubjectKind.USER:
            return None
        addresses = _among(folded(email), tuple(map(fold, own(subject, "email"))))
        anonymous = None if addresses is None else and_(user.is_(None), addresses)
        return _any(_among(user, own(subject, "user_id")), anonymous)

    return where


def of_contact(tenant: Column[Any], contact: Column[Any], number: Column[Any] | None = None) -> Where:
    """A contact's rows at each of its tenants, or all rows of a tenant.

    Rows of no known contact are the subject's if `number` is one of its verified numbers at that same tenant.
    """

    def clauses(subject: Subject) -> Iterator[ColumnElement[bool]]:
        for name in tenants_of(subject):
            phones = () if number is None else within(subject, "phone", name)
            unnamed = None if number is None or not phones else and_(contact.is_(None), number.in_(phones))
            rows = _any(_among(contact, within(subject, "contact_id", name)), unnamed)
            if rows is not None:
                yield and_(tenant == name, rows)

    @lru_cache(maxsize=1)  # asked for twice in an export: the rows are counted, then read
    def where(subject: Subject) -> ColumnElement[bool] | None:
        if subject.kind is SubjectKind.TENANT:
            return owned(tenant=tenant)(subject)
        return _any(*clauses(subject))

    return where


def employer(subject: Subject) -> ColumnElement[bool] | None:
    """The tenant itself, or the tenants of which a user is a member today."""
    if subject.kind is SubjectKind.TENANT:
        return owned(tenant=schema.organisations.c.id)(subject)
    mine = owned(user=schema.memberships.c.user_id)(subject)
    if mine is None:
        return None
    joined = select(schema.memberships.c.tenant_id).where(mine, schema.memberships.c.ended_at.is_(None))
    return schema.organisations.c.id.in_(joined)


def company_of_contact(subject: Subject) -> ColumnElement[bool] | None:
    """The companies that a contact is linked to, or all companies of a tenant."""
    contacts, companies = schema.contacts.c, schema.companies.c
    if subject.kind is SubjectKind.TENANT:
        return owned(tenant=companies.tenant_id)(subject)
    mine = of_contact(contacts.tenant_id, contacts.id)(subject)
    if mine is None:
        return None
    linked = select(1).where(contacts.company_id == companies.id, contacts.tenant_id == companies.tenant_id, mine)
    return linked.exists()


def _among(column: ColumnElement[Any], values: tuple[str, ...]) -> ColumnElement[bool] | None:
    return column.in_(values) if values else None


def _any(*clauses: ColumnElement[bool] | None) -> ColumnElement[bool] | None:
    given = [clause for clause in clauses if clause is not None]
    return or_(*given) if given else None
