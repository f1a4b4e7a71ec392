"""Who the subject of a request is in a mapped source: its further identities, and whether the source knows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection, select

from exporters.sql import address_matches, phone_notations, sole_addresses
from exporters.sql.belonging import AddressBook, Belonging, Relations, shared, sole
from exporters.sql.identifiers import REQUESTED, names_any
from exporters.sql.mapped.belongings import Tables, book_of, notation_of
from exporters.sql.mapped.forms import SqlSourceForm
from exporters.sql.mapped.look_ups import LookUp, look_ups, staff_identities
from exporters.sql.mapped.way_forms import AddressRowsForm, MemberRowsForm
from exporters.sql.sole_addresses import AddressUsers
from portability.api import ADDRESS_KINDS, STAFF_IDENTITY, Identity, IdentityUse, Subject, SubjectKind
from portability.people.resolution import resolving


def use_of(form: SqlSourceForm, exporter: str, kinds: frozenset[str]) -> IdentityUse:
    """Return which identities a map uses and finds. `kinds` are those by which its rows are selected.

    `exporter` precedes the names of datasets with records that a person must review.
    """
    found, reviewed = {one.gives for one in form.identity}, dict(_reviewed(form, exporter))
    used = {*kinds, *(one.kind for one in form.identity)}
    if any(one.staff for one in form.dataset):
        found.add(STAFF_IDENTITY)
    if form.people is not None:
        found |= {form.people.identity, form.people.duplicate}
        used |= {form.people.identity, form.people.duplicate}
    if form.accounts is not None:
        found |= {form.accounts.identity, *map(sole, form.accounts.addresses)}
    found |= reviewed.keys()
    datasets = {kind: f"{exporter}/{dataset}" for kind, dataset in reviewed.items()}
    return IdentityUse(frozenset(used) - REQUESTED, frozenset(found), datasets)


def _reviewed(form: SqlSourceForm, source: str) -> Iterator[tuple[str, str]]:
    """Yield the kinds of identities that name records that a person must review, each with the records' dataset."""
    for _, dataset, way in form.ways():
        if isinstance(way, AddressRowsForm | MemberRowsForm):
            yield way.gives, dataset.name
    for dataset in form.dataset:
        if gives := notation_of(dataset, source):
            yield gives, dataset.name
        if form.people is not None and dataset.table == form.people.table:
            yield form.people.duplicate, dataset.name
        if form.accounts is not None and dataset.table == form.accounts.table:
            # A review of a shared address is about the person as a whole; its record is the kind of the address.
            yield from ((shared(kind), dataset.name) for kind in form.accounts.addresses)


@dataclass(frozen=True)
class Identification:
    """Finds identities by what a map states, in the tables and relations of its platform."""

    source: str
    """The name under which identities are found."""
    form: SqlSourceForm
    tables: Tables
    relations: Relations
    users: AddressUsers
    prefix: str = ""
    """Begin of the names of the map's own datasets in the relations."""

    def find(self, connection: Connection, subject: Subject) -> Iterator[Identity]:
        """Yield further identities of a subject."""
        belongings = [one for name, one in self.relations.belongings.items() if name.startswith(self.prefix)]
        if self.form.accounts is not None:
            yield from sole_addresses.identities(connection, self.source, self.users, subject)
        for one in self.look_ups:
            yield from one.identities(connection, self.source, subject)
        if self.book is not None:
            yield from self._records(connection, self.book, subject)
        if self.relations.book is not None:
            found = address_matches.matches(connection, self.relations.book, belongings, subject, self._beside())
            yield from address_matches.identities(self.source, found)
        yield from phone_notations.identities(connection, self.source, belongings, subject)
        yield from staff_identities(connection, self.source, belongings, subject)

    def knows(self, connection: Connection, subject: Subject) -> bool | None:
        """Return whether the source has the identity that a request names; None if the map does not say how to see."""
        kind = subject.identities[0].kind
        answers = [
            one.is_known(connection, subject) for one in self.look_ups if one.kind == kind and one.serves(subject)
        ]
        if subject.kind in ADDRESS_KINDS and self.form.accounts is not None:
            answers.append(sole_addresses.is_known(connection, self.users, subject))
        if subject.kind is SubjectKind.TENANT and (stated := self.form.session.tenants) is not None:
            column = self.tables[stated.table].c[stated.column]
            named = names_any(column, [subject.identities[0].value])
            answers.append(connection.scalar(select(column).where(named)) is not None)
        return any(answers) if answers else None

    @property
    def can_tell(self) -> bool:
        """Return whether the map says how to see that the source knows a subject."""
        form = self.form
        return bool(form.identity) or form.accounts is not None or form.session.tenants is not None

    def _beside(self) -> Iterator[Belonging]:
        """Yield the belongings of the platform's maps that the resolution needs."""
        needed = resolving() if self.prefix else ()
        yield from (one for name, one in self.relations.belongings.items() if name.partition("/")[0] in needed)

    @cached_property
    def look_ups(self) -> tuple[LookUp, ...]:
        """Return the look-ups of the map."""
        return tuple(look_ups(self.form.identity, self.tables))

    @cached_property
    def book(self) -> AddressBook | None:
        """Return the people whom this map states, not another map of the platform."""
        return book_of(self.form, self.tables)

    def _records(self, connection: Connection, book: AddressBook, subject: Subject) -> Iterator[Identity]:
        """Yield the records of a person who is an address, and further records of the same person."""
        for tenant, key, is_certain in sole_addresses.records(connection, self.users, book, subject):
            yield Identity(self.source, book.identity, key, verified=is_certain, tenant=tenant)
        for tenant, key, is_certain in address_matches.duplicates(connection, book, subject):
            yield Identity(self.source, book.duplicate, key, verified=is_certain, tenant=tenant)
