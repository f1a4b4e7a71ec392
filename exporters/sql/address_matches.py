"""Rows that a person's address leads to: candidates from the database, decided by the normal form of the address.

A match is an identity that names the row. It is verified if the address was of this person alone at that time, and
unverified if a person must decide: unverified identities select nothing, and each becomes a gap `needs_review`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, cast, literal, null, or_, select, union_all

from exporters.sql.addresses import Owner, had_it_together, is_of_one, same_name
from exporters.sql.belonging import AddressBook, Belonging, ByAddress, ByMember
from exporters.sql.columns import folded
from exporters.sql.identifiers import at_tenants, names_any, written
from exporters.sql.marks import is_set
from exporters.sql.values import exact
from portability.api import Identity, Subject, SubjectKind
from portability.people.addresses import EMAIL, is_national, normal
from portability.people.folding import fold
from portability.people.resolution import shared

DEPTH_MAX = 100
"""Depth limit of JSON values that are searched."""
_LAST_DIGITS = 7
"""Digits of a number by which candidates are searched."""


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """An address that the subject has proved, and all people of the tenant who have it."""

    kind: str
    address: str = field(repr=False)
    form: bytes = field(repr=False)
    """The normal form."""
    owners: Sequence[Owner] = ()

    def equals(self, other: object) -> bool:
        """Return whether another text is this address."""
        return isinstance(other, str) and normal(self.kind, other) == self.form


def own_records(book: AddressBook, subject: Subject) -> Mapping[str, tuple[str, ...]]:
    """Return the keys of the subject's own records by tenant: those that are identified, and their duplicates."""
    if subject.kind is SubjectKind.TENANT or not at_tenants(subject, {book.identity}):
        return {}
    return at_tenants(subject, {book.identity, book.duplicate})


def known_addresses(
    connection: Connection, book: AddressBook, tenant: str, own: tuple[str, ...]
) -> Sequence[KnownAddress]:
    """Return the proved addresses of a person's records at a tenant, each with everyone who has it there.

    All exporters of a platform need them, in each round: they are read once for a resolution, like what follows from
    them, until further records of the person are found.
    """
    key = ("addresses", connection.engine, book.table, tenant, own)
    return shared(key, partial(_read_known_addresses, connection, book, tenant, own))


def _read_known_addresses(
    connection: Connection, book: AddressBook, tenant: str, own: tuple[str, ...]
) -> Sequence[KnownAddress]:
    t = book.table
    columns = [column for one in book.addresses.values() for column in (t.c[one.address], is_set(t.c[one.since]))]
    own_rows = (names_any(t.c[book.tenant], [tenant]), names_any(t.c[book.key], own))
    rows = connection.execute(select(*columns).where(*own_rows).order_by(t.c[book.key])).all()
    found: dict[tuple[str, bytes], KnownAddress] = {}
    for place, kind in enumerate(book.addresses):
        for row in rows:
            address, is_proved = row[2 * place : 2 * place + 2]
            if is_proved and isinstance(address, str) and address.strip():
                known = KnownAddress(kind, address, normal(kind, address))
                found.setdefault((kind, known.form), known)
    return _with_owners(connection, book, tenant, [*found.values()])


def duplicates(connection: Connection, book: AddressBook, subject: Subject) -> Iterator[tuple[str, str, bool]]:
    """Yield (tenant, key, whether it is certain) of further records of the same person.

    It is certain if both records have the same name, and had proved the same e-mail address at the same time. Another
    record with a proved address of the subject must be reviewed, unless it has another name, or another proved e-mail
    address: then it is another person, with whom the subject shares an address.
    """
    for tenant, own in own_records(book, subject).items():
        key = ("duplicates", connection.engine, tenant, own)
        yield from shared(key, partial(_duplicates, connection, book, tenant, own))


def _duplicates(
    connection: Connection, book: AddressBook, tenant: str, own: tuple[str, ...]
) -> Sequence[tuple[str, str, bool]]:
    certain: set[str] = set()
    possible: dict[str, None] = {}
    for known in known_addresses(connection, book, tenant, own):
        mine = [owner for owner in known.owners if owner.key in own]
        for owner in known.owners:
            names = [same_name(owner.name, one.name) for one in mine]
            if owner.key in own or False in names:
                continue
            possible[owner.key] = None
            together = any(had_it_together(owner, one) for one in mine)
            if known.kind == EMAIL and together and all(names):
                certain.add(owner.key)
    others = set(_with_proved_email(connection, book, tenant, possible.keys() - certain, own))
    unclear = [(tenant, key, False) for key in possible if key not in certain | others]
    return [*((tenant, key, True) for key in sorted(certain)), *unclear]


def matches(
    connection: Connection, book: AddressBook, belongings: Sequence[Belonging], subject: Subject
) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (tenant, kind of identity, key, whether it is certain) of rows that the subject's addresses lead to."""
    for belonging in belongings:
        rules = [rule for rule in belonging.person if isinstance(rule, ByAddress | ByMember)]
        for tenant, own in own_records(book, subject).items() if rules else ():
            key = ("matches", connection.engine, belonging.table, tuple(rules), tenant, own)
            found = shared(key, partial(_matches, connection, book, belonging, rules, tenant, own))
            yield from ((tenant, kind, name, is_certain) for kind, name, is_certain in found)


def _matches(
    connection: Connection,
    book: AddressBook,
    belonging: Belonging,
    rules: Sequence[ByAddress | ByMember],
    tenant: str,
    own: tuple[str, ...],
) -> Sequence[tuple[str, str, bool]]:
    known = known_addresses(connection, book, tenant, own)
    by_address = [rule for rule in rules if isinstance(rule, ByAddress)]
    found = [*_by_addresses(connection, belonging, by_address, tenant, own, known)]
    for rule in rules:
        if isinstance(rule, ByMember):
            members = _by_member(connection, belonging, rule, tenant, own, known)
            found += [(rule.gives, name, is_certain) for name, is_certain in members]
    return found


def identities(source: str, found: Iterator[tuple[str, str, str, bool]]) -> Iterator[Identity]:
    """Make identities of matches."""
    for tenant, kind, key, is_certain in found:
        yield Identity(source, kind, key, verified=is_certain, tenant=tenant)


def _by_addresses(
    connection: Connection,
    belonging: Belonging,
    rules: Sequence[ByAddress],
    tenant: str,
    own: Collection[str],
    known: Sequence[KnownAddress],
) -> Iterator[tuple[str, str, bool]]:
    """Yield what the rules of a table find, by one statement for all of them and all addresses."""
    searched = {number: [one for one in known if one.kind == rule.identity] for number, rule in enumerate(rules)}
    width = max((len(rule.at) for rule in rules), default=0)
    parts = [_candidates(belonging, rules[n], n, tenant, ones, width) for n, ones in searched.items() if ones]
    if not parts:
        return
    rows = connection.execute(union_all(*parts)).all()
    for number, key, address, *times in sorted(rows, key=lambda row: (row[0], row[1])):
        for one in searched[number]:
            if one.equals(address):
                yield rules[number].gives, key, is_of_one(one.owners, own, _first_time(times))
            elif is_national(one.kind, address, one.address):
                yield rules[number].gives, key, False


def _candidates(
    belonging: Belonging, rule: ByAddress, number: int, tenant: str, searched: Sequence[KnownAddress], width: int
) -> Select[Any]:
    """Select the number of the rule, key, address and times of the rows that may have one of the addresses."""
    t = belonging.table
    times = [exact(t.c[name]) for name in rule.at]
    columns: list[ColumnElement[Any]] = [
        literal(number),
        written(t.c[belonging.key]),
        cast(t.c[rule.address], Text),
        *times,
    ]
    columns += [cast(null(), Text) for _missing in range(len(times), width)]
    may_have = or_(*(may_contain(t.c[rule.address], one.kind, one.address) for one in searched))
    conditions = [names_any(t.c[belonging.tenant or ""], [tenant]), t.c[rule.unlinked].is_(None), may_have]
    conditions += [condition.on(t) for condition in (*rule.where, *belonging.where)]
    return select(*columns).where(*conditions)


def _by_member(
    connection: Connection,
    belonging: Belonging,
    rule: ByMember,
    tenant: str,
    own: Collection[str],
    known: Sequence[KnownAddress],
) -> Iterator[tuple[str, bool]]:
    t = belonging.table
    searched = [one for one in known if one.kind in rule.identities]
    text = cast(t.c[rule.members], Text)
    candidates: list[ColumnElement[bool]] = [text.contains(key, autoescape=True) for key in own]
    candidates += [may_contain(text, one.kind, one.address) for one in searched]
    columns = [written(t.c[belonging.key]), text, *(exact(t.c[name]) for name in rule.at)]
    conditions = [names_any(t.c[belonging.tenant or ""], [tenant]), or_(*candidates)]
    conditions += [condition.on(t) for condition in belonging.where]
    rows = select(*columns).where(*conditions).order_by(t.c[belonging.key])
    for key, members, *times in connection.execute(rows):
        words = set(_words(members))
        if words & set(own):
            yield key, True
            continue
        met = [one for one in searched if any(map(one.equals, words))]
        if met:
            moment = _first_time(times)
            yield key, any(is_of_one(one.owners, own, moment) for one in met)


def _with_owners(
    connection: Connection, book: AddressBook, tenant: str, known: Sequence[KnownAddress]
) -> Sequence[KnownAddress]:
    """Return the addresses, each with everyone at the tenant who has it."""
    if not known:
        return ()
    t = book.table
    until = null() if book.until is None else exact(t.c[book.until])
    stated = [column for one in book.addresses.values() for column in (t.c[one.address], exact(t.c[one.since]))]
    candidates = or_(*(may_contain(t.c[book.addresses[one.kind].address], one.kind, one.address) for one in known))
    query = select(written(t.c[book.key]), until, t.c[book.name], *stated)
    rows = connection.execute(
        query.where(names_any(t.c[book.tenant], [tenant]), candidates).order_by(t.c[book.key])
    ).all()
    places = {kind: 3 + 2 * number for number, kind in enumerate(book.addresses)}
    return [
        replace(
            one,
            owners=tuple(
                Owner(row[0], _time(row[places[one.kind] + 1]), _time(row[1]), row[2])
                for row in rows
                if one.equals(row[places[one.kind]])
            ),
        )
        for one in known
    ]


def _with_proved_email(
    connection: Connection, book: AddressBook, tenant: str, keys: Collection[str], own: Collection[str]
) -> Iterator[str]:
    """Yield those records that have proved another e-mail address than the subject: they are other people."""
    if EMAIL not in book.addresses or not keys:
        return
    t, email = book.table, book.addresses[EMAIL]
    proved = (names_any(t.c[book.tenant], [tenant]), t.c[email.since].is_not(None))
    columns = (written(t.c[book.key]), t.c[email.address])
    mine = connection.execute(select(*columns).where(*proved, names_any(t.c[book.key], [*own])))
    own_forms = {normal(EMAIL, address) for _key, address in mine if address}
    for key, address in connection.execute(select(*columns).where(*proved, names_any(t.c[book.key], [*keys]))):
        if address and normal(EMAIL, address) not in own_forms:
            yield key


def may_contain(column: ColumnElement[Any], kind: str, address: str) -> ColumnElement[bool]:
    """Return a condition for all texts that may contain the address in some notation, and a few others."""
    if kind == EMAIL:
        mailbox, _, _ = address.strip().rpartition("@")
        return folded(column).contains(fold(mailbox) if mailbox.isascii() else "@", autoescape=True)
    digits = [letter for letter in address if letter.isascii() and letter.isdigit()]
    # The last digits in their order, with anything between them: every notation has these.
    return column.like("%" + "%".join(digits[-_LAST_DIGITS:]) + "%")


def _words(members: object) -> Iterator[str]:
    """Yield all texts in a JSON value; a text that is not JSON has none."""
    try:
        value = json.loads(members) if isinstance(members, str) else members
    except (ValueError, RecursionError):
        return
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            yield one.strip()
        elif isinstance(one, list | dict) and depth < DEPTH_MAX:
            waiting += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]


def _first_time(times: Sequence[object]) -> datetime | None:
    return next((moment for moment in map(_time, times) if moment is not None), None)


def _time(text: object) -> datetime | None:
    """Return a time as the database writes it; None for NULL and for a text that is not a time."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
