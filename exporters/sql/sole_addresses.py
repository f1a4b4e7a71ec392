"""People without an account: the rows under an address that they have proved, if no second person has used it.

The answer is an identity: the address as each row writes it. It is verified if one person alone has used the address.
Else a second identity asks a person to decide (`shared`), without the address itself. Until then the address is
unverified, and its rows are gaps `needs_review`; afterwards it is verified, or not found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, literal, or_, select

from exporters.sql.address_candidates import may_contain
from exporters.sql.addresses import same_name
from exporters.sql.belonging import AccountBook, AddressBook, Belonging, BySoleAddress, shared, sole
from exporters.sql.columns import folded
from exporters.sql.identifiers import written
from exporters.sql.marks import is_set
from portability.api import ADDRESS_KINDS, Identity, Subject
from portability.people.addresses import EMAIL, normal
from portability.people.folding import fold


@dataclass(frozen=True, slots=True)
class AddressUsers:
    """Who uses addresses: the accounts, and the rows that may have no account."""

    accounts: AccountBook | None
    """None: the source has no accounts."""
    belongings: Collection[Belonging]


@dataclass(frozen=True, slots=True)
class AddressUse:
    """How the source uses an address."""

    owners: Sequence[str] = ()
    """Accounts that have proved it."""
    notations: Sequence[str] = ()
    """How rows without account write it."""
    is_shared: bool = False
    """Whether there is a sign that a second person has used it."""


def identities(connection: Connection, source: str, users: AddressUsers, subject: Subject) -> Iterator[Identity]:
    """Yield the account that has proved the subject's address; else the address in each notation of its rows.

    Nothing for a subject that is not an address.
    """
    for kind, address in _proved(subject):
        use = _use(connection, users, kind, address)
        if users.accounts is not None:
            yield from (Identity(source, users.accounts.identity, key, verified=True) for key in use.owners)
        question = Identity(source, shared(kind), kind, verified=False)
        if use.is_shared and use.notations:
            yield question
        asked = [one.verified for one in subject.identities if one.kind == question.kind]
        # Asked first: the resolution of the subject answers with a decision, or leaves the question out.
        if asked or not use.is_shared:
            is_theirs = not use.is_shared or any(asked)
            yield from (Identity(source, sole(kind), one, verified=is_theirs) for one in use.notations)


def is_known(connection: Connection, users: AddressUsers, subject: Subject) -> bool:
    """Return whether an account, or a row without an account, has the subject's address."""
    return any(identities(connection, "", users, subject))


def records(
    connection: Connection, users: AddressUsers, book: AddressBook, subject: Subject
) -> Iterator[tuple[str, str, bool]]:
    """Yield (tenant, key, whether it is certain) of people's records at tenants that have proved the subject's address.

    It is certain if all records of the tenant with the address have the same name, and there is no sign that a second
    person has used the address elsewhere. Nothing if the address belongs to an account.
    """
    for kind, address in _proved(subject):
        use = _use(connection, users, kind, address)
        if use.owners or kind not in book.addresses:
            continue
        t, columns = book.table, book.addresses[kind]
        named = (written(t.c[book.tenant]), written(t.c[book.key]), t.c[book.name])
        asked = select(*named, is_set(t.c[columns.since]), t.c[columns.address])
        rows = asked.where(may_be(t.c[columns.address], kind, address)).order_by(t.c[book.tenant], t.c[book.key])
        same = (row for row in connection.execute(rows).all() if _is_same(kind, row[-1], address))
        # The order of a database may mix the rows of tenants that it takes for equal.
        for tenant, group in groupby(sorted(same, key=lambda row: row[0] or ""), itemgetter(0)):
            found = list(group)
            is_one = all(same_name(one[2], other[2]) for one, other in combinations(found, 2))
            yield from ((tenant, row[1], is_one and not use.is_shared) for row in found if row[3] and tenant)


def _use(connection: Connection, users: AddressUsers, kind: str, address: str) -> AddressUse:
    accounts = dict(_accounts(connection, users.accounts, kind, address))
    if owners := [key for key, is_proved in accounts.items() if is_proved]:
        return AddressUse(owners)
    uses = list(_uses(connection, users.belongings, kind, address))
    names = {name for _, _, name in uses if isinstance(name, str)}
    others = any(account is not None for _, account, _ in uses)
    is_shared = bool(accounts) or others or any(same_name(*pair) is False for pair in combinations(names, 2))
    return AddressUse((), list(dict.fromkeys(one for one, account, _ in uses if account is None)), is_shared)


def _proved(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of the subject's address; nothing for another subject."""
    kind = str(subject.kind)
    if subject.kind in ADDRESS_KINDS:
        yield from ((kind, address) for address in subject.verified(kind))


def _accounts(connection: Connection, book: AccountBook | None, kind: str, address: str) -> Iterator[tuple[str, bool]]:
    """Yield the accounts with an address, and whether the account has proved it."""
    if book is None or kind not in book.addresses:
        return
    t, columns = book.table, book.addresses[kind]
    asked = (written(t.c[book.key]), written(t.c[columns.address]), is_set(t.c[columns.since]))
    for key, found, is_proved in connection.execute(
        select(*asked).where(may_be(t.c[columns.address], kind, address)).order_by(t.c[book.key])
    ):
        if _is_same(kind, found, address):
            yield key, bool(is_proved)


def _uses(
    connection: Connection, belongings: Iterable[Belonging], kind: str, address: str
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield who used an address, once for each table: how it is written, the row's account, and the name given."""
    for belonging in belongings:
        for rule in belonging.person:
            if not isinstance(rule, BySoleAddress) or rule.identity != kind:
                continue
            t: Table = belonging.table
            name: ColumnElement[Any] = literal(None, Text()) if rule.name is None else t.c[rule.name]
            asked = select(t.c[rule.sole_address], t.c[rule.unlinked], name)
            conditions = (condition.on(t) for condition in belonging.where)
            rows = asked.where(may_be(t.c[rule.sole_address], kind, address), *conditions).distinct()
            for notation, account, given in connection.execute(rows.order_by(*rows.selected_columns)):
                if _is_same(kind, notation, address):
                    yield notation, account, given


def _is_same(kind: str, found: object, address: str) -> bool:
    """Return whether a cell contains the address in any notation; SQLite stores values of other types in any column."""
    return isinstance(found, str) and normal(kind, found) == normal(kind, address)


def may_be(column: ColumnElement[str], kind: str, address: str) -> ColumnElement[bool]:
    """Return a condition for all notations of an address, and a few others, which an index can serve."""
    if kind != EMAIL:
        return may_contain(column, kind, address)
    mailbox, _, _ = address.rpartition("@")
    # Domains have several notations. "A" follows "@" in the order of bytes, and "!" follows all spaces.
    begins = and_(folded(column) >= literal(f"{fold(mailbox)}@"), folded(column) < literal(f"{fold(mailbox)}A"))
    return or_(begins, and_(folded(column) > literal(""), folded(column) < literal("!")))
