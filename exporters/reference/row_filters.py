"""Row filters of the reference platform, by dataset, and the identities that its rows give (docs/source-schema.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Column, ColumnElement, Connection

from exporters.reference.relations import BOOK, RELATIONS
from exporters.sql import address_matches
from exporters.sql.exporter import Finder
from exporters.sql.identifiers import REQUESTED, own
from exporters.sql.row_filter import RowFilter
from exporters.sql.source import Where
from portability.api import STAFF_IDENTITY, Identity, Subject, SubjectKind

USERS = frozenset({SubjectKind.USER})
READERS = USERS | {SubjectKind.EMAIL}
"""Account holders, and people without an account who are known by their e-mail address."""
TENANTS = frozenset({SubjectKind.TENANT})
USERS_AND_TENANTS = USERS | TENANTS
EVERYONE = frozenset(SubjectKind)


def rows(dataset: str, *, joined: str | None = None) -> RowFilter:
    """Return the filter for the rows of `exporter/dataset`; `joined` names the dataset that its origin joins."""
    return RowFilter(RELATIONS, dataset, joined)


def selects_by(exporter: str) -> frozenset[str]:
    """Return the kinds of identities by which the datasets of an exporter select, beside the requested one."""
    names = [name for name in RELATIONS.belongings if name.startswith(f"{exporter}/")]
    return frozenset[str]().union(*map(RELATIONS.kinds, names)) - REQUESTED


def reviewed(exporter: str) -> Mapping[str, str]:
    """Return the kinds of identities that name records of an exporter that a person must review, with their dataset."""
    return RELATIONS.reviewed(exporter)


def finder(exporter: str) -> Finder:
    """Return how an exporter finds rows by a contact's addresses, and the tenants whose staff a user is."""
    belongings = [one for name, one in RELATIONS.belongings.items() if name.startswith(f"{exporter}/")]

    def find(connection: Connection, subject: Subject) -> Iterator[Identity]:
        found = address_matches.matches(connection, BOOK, belongings, subject)
        yield from address_matches.identities(exporter, found)
        users = own(subject, "user_id") if subject.kind is SubjectKind.USER else ()
        for user in users:
            for tenant in address_matches.staff_tenants(connection, belongings, user):
                yield Identity(exporter, STAFF_IDENTITY, user, verified=True, tenant=tenant)

    return find


def owned(user: Column[str]) -> Where:
    """Filter a user's own rows of a table that is not part of the platform."""

    def where(subject: Subject) -> ColumnElement[bool] | None:
        known = own(subject, "user_id") if subject.kind is SubjectKind.USER else ()
        return user.in_(known) if known else None

    return where
