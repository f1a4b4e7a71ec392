"""The built-in directory: verified addresses and languages from the reference schema."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from exporters.reference import schema
from exporters.sql.faults import reading
from portability.api import Sources, Subject, SubjectKind
from portability.api.directories import Contact, Directory

ADMINISTRATORS = ("owner", "admin")
"""Roles of members who act for a tenant."""


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
    """Make the directory. Entry point `portability.directory`: schema."""
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
    matching = (contacts.id == identifier, contacts.tenant_id == tenant, contacts.deleted_at.is_(None))
    row = connection.execute(select(*columns, contacts.language).where(*matching)).mappings().first()
    return None if row is None else _contact(row, row["phone_verified_at"], can_log_in=False)


def _administrator(connection: Connection, tenant: str) -> Contact | None:
    """Return the tenant's longest-serving administrator; if a newer one exists, this counts as a change."""
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
    # For a verified address the time of verification is known; for others only when the row changed.
    times = [*changed, row["email_verified_at"] or row["updated_at"]]
    known_at = max((at for at in times if at is not None), default=None)
    return Contact(row["email"], row["language"], row["email_verified_at"] is not None, known_at, can_log_in=can_log_in)
