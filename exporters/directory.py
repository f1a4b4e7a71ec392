"""The built-in directory: verified addresses and languages from the reference schema."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from exporters import schema
from exporters.faults import reading
from portability.api import Sources, Subject, SubjectKind
from portability.directory import Contact, Directory

ADMINISTRATORS = ("owner", "admin")
"""Roles of a membership whose holders act for a tenant."""


class SchemaDirectory:
    """Reads `users`, `memberships` and `contacts`."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def contact(self, subject: Subject) -> Contact | None:
        identifier = subject.identities[0].value
        with reading(self._sources.database, "directory") as connection:
            if subject.kind is SubjectKind.USER:
                return _user(connection, identifier)
            if subject.kind is SubjectKind.CONTACT:
                return _customer(connection, identifier, subject.tenant)
            return _administrator(connection, identifier)


def directory(sources: Sources) -> Directory:
    """Entry point `portability.directory`: schema."""
    return SchemaDirectory(sources)


def _user(connection: Connection, identifier: str) -> Contact | None:
    users = schema.users.c
    columns = (users.email, users.email_verified_at, users.phone_verified_at, users.updated_at, users.closed_at)
    row = (
        connection.execute(select(*columns, users.locale.label("language")).where(users.id == identifier))
        .mappings()
        .first()
    )
    return None if row is None else _contact(row, row["phone_verified_at"], can_log_in=row["closed_at"] is None)


def _customer(connection: Connection, identifier: str, tenant: str | None) -> Contact | None:
    contacts = schema.contacts.c
    columns = (contacts.email, contacts.email_verified_at, contacts.phone_verified_at, contacts.updated_at)
    mine = (contacts.id == identifier, contacts.tenant_id == tenant, contacts.deleted_at.is_(None))
    row = connection.execute(select(*columns, contacts.language).where(*mine)).mappings().first()
    return None if row is None else _contact(row, row["phone_verified_at"], can_log_in=False)


def _administrator(connection: Connection, tenant: str) -> Contact | None:
    """Who has been the tenant's administrator longest; that there is a newer one counts as a change."""
    users, members = schema.users.c, schema.memberships.c
    joined = schema.memberships.join(schema.users, members.user_id == users.id)
    columns = (users.email, users.email_verified_at, users.phone_verified_at, users.updated_at)
    acting = (members.tenant_id == tenant, members.role.in_(ADMINISTRATORS), members.ended_at.is_(None))
    able = (users.closed_at.is_(None), users.email_verified_at.is_not(None))
    query = select(*columns, users.locale.label("language")).select_from(joined).where(*acting, *able)
    row = connection.execute(query.order_by(members.created_at, members.id)).mappings().first()
    newest_at = connection.scalar(select(func.max(members.created_at)).where(*acting))
    return None if row is None else _contact(row, row["phone_verified_at"], newest_at, can_log_in=True)


def _contact(row: RowMapping, *changed: datetime | None, can_log_in: bool) -> Contact | None:
    if not row["email"]:
        return None
    # Of a verified address it is known when it became so; of any other, only when something of the row changed.
    times = [*changed, row["email_verified_at"] or row["updated_at"]]
    known_at = max((at for at in times if at is not None), default=None)
    return Contact(row["email"], row["language"], row["email_verified_at"] is not None, known_at, can_log_in=can_log_in)
