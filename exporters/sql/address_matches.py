"""Rows that a person's address leads to: candidates from the database, decided by the normal form of the address.

A match is an identity that names the row. It is verified if the address was of this person alone at that time, and
unverified if a person must decide: unverified identities select nothing, and each becomes a gap `needs_review`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, Table, Text, cast, literal, null, or_, select, union_all

from exporters.sql.address_candidates import may_contain, member_may_be, member_may_have
from exporters.sql.addresses import Owner, had_it_together, is_of_one, same_name
from exporters.sql.belonging import AddressBook, Belonging, ByAddress, ByMember
from exporters.sql.columns import members_of
from exporters.sql.identifiers import at_tenants, names_any, written
from exporters.sql.marks import is_set
from exporters.sql.values import exact_moment
from portability.api import Identity, Subject, SubjectKind
from portability.people.addresses import EMAIL, is_national, normal
from portability.people.resolution import shared

Searched: TypeAlias = tuple[Table, ByAddress | ByMember]
"""A table, and the rule by which its rows lead to a person."""
DEPTH_MAX = 100
"""Depth limit of JSON values that are searched."""


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
    columns = [
        column for one in book.addresses.values() for column in (written(t.c[one.address]), is_set(t.c[one.since]))
    ]
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
    connection: Connection,
    book: AddressBook,
    belongings: Sequence[Belonging],
    subject: Subject,
    beside: Iterable[Belonging] = (),
) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (tenant, kind of identity, key, whether it is certain) of rows that the subject's addresses lead to.

    `beside` are the belongings of other plug-ins that the same resolution needs: one statement searches all of them.
    """
    asked = [*_rules(belongings)]
    for tenant, own in own_records(book, subject).items() if asked else ():
        everyone = [*beside, *belongings]
        key = ("matches", connection.engine, book.table, tenant, own, frozenset(map(id, everyone)))
        found = shared(key, partial(_matches, connection, book, everyone, tenant, own))
        for belonging, rule in asked:
            yield from ((tenant, rule.gives, name, is_certain) for name, is_certain in found[belonging.table, rule])


def _rules(belongings: Iterable[Belonging]) -> Iterator[tuple[Belonging, ByAddress | ByMember]]:
    for belonging in belongings:
        for rule in belonging.person:
            if isinstance(rule, ByAddress | ByMember):
                yield belonging, rule


def _matches(
    connection: Connection, book: AddressBook, belongings: Sequence[Belonging], tenant: str, own: tuple[str, ...]
) -> Mapping[Searched, Sequence[tuple[str, bool]]]:
    """Return what the rules of these belongings find, by one statement: keys, and whether they are certain."""
    known = known_addresses(connection, book, tenant, own)
    rules = {(belonging.table, rule): belonging for belonging, rule in _rules(belongings)}
    found: dict[Searched, list[tuple[str, bool]]] = {searched: [] for searched in rules}
    searches = [
        (searched, belonging, addresses)
        for searched, belonging in rules.items()
        if (addresses := _addresses(searched[1], known)) or isinstance(searched[1], ByMember)
    ]
    width = max((len(rule.at) for _table, rule in rules), default=0)
    parts = [
        _candidates(belonging, searched[1], n, tenant, _may_lead(belonging, searched[1], addresses, own), width)
        for n, (searched, belonging, addresses) in enumerate(searches)
    ]
    if parts:
        rows = connection.execute(union_all(*parts)).all()
        for number, key, text, *times in sorted(rows, key=lambda row: (row[0], row[1])):
            searched, _, addresses = searches[number]
            judged = _by_member if isinstance(searched[1], ByMember) else _by_address
            found[searched] += ((key, is_certain) for is_certain in judged(text, _first_time(times), own, addresses))
    return found


def _addresses(rule: ByAddress | ByMember, known: Sequence[KnownAddress]) -> Sequence[KnownAddress]:
    kinds = rule.identities if isinstance(rule, ByMember) else (rule.identity,)
    return [one for one in known if one.kind in kinds]


def identities(source: str, found: Iterator[tuple[str, str, str, bool]]) -> Iterator[Identity]:
    """Make identities of matches."""
    for tenant, kind, key, is_certain in found:
        yield Identity(source, kind, key, verified=is_certain, tenant=tenant)


def _candidates(
    belonging: Belonging,
    rule: ByAddress | ByMember,
    number: int,
    tenant: str,
    may_lead: ColumnElement[bool],
    width: int,
) -> Select[Any]:
    """Select the number of the rule, key, text and times of the rows that may lead to the person."""
    t = belonging.table
    times = [exact_moment(t.c[name]) for name in rule.at]
    text = cast(members_of(t.c[rule.members]) if isinstance(rule, ByMember) else t.c[rule.address], Text)
    columns: list[ColumnElement[Any]] = [literal(number), written(t.c[belonging.key]), text, *times]
    columns += [cast(null(), Text) for _missing in range(len(times), width)]
    conditions = [names_any(t.c[belonging.tenant or ""], [tenant]), may_lead]
    if isinstance(rule, ByAddress):
        conditions += [t.c[rule.unlinked].is_(None), *(condition.on(t) for condition in rule.where)]
    conditions += [condition.on(t) for condition in belonging.where]
    return select(*columns).where(*conditions)


def _may_lead(
    belonging: Belonging, rule: ByAddress | ByMember, searched: Sequence[KnownAddress], own: Collection[str]
) -> ColumnElement[bool]:
    """Return a condition for all rows with one of the addresses, or among members of the person's own keys."""
    t = belonging.table
    if isinstance(rule, ByAddress):
        return or_(*(may_contain(t.c[rule.address], one.kind, one.address) for one in searched))
    text = cast(members_of(t.c[rule.members]), Text)
    named: list[ColumnElement[bool]] = [member_may_be(text, key) for key in own]
    return or_(*named, *(member_may_have(text, one.kind, one.address) for one in searched))


def _by_address(
    text: object, moment: datetime | None, own: Collection[str], searched: Sequence[KnownAddress]
) -> Iterator[bool]:
    """Yield, for each of the addresses that the text is, whether it leads to the person with certainty."""
    for one in searched:
        if one.equals(text):
            yield is_of_one(one.owners, own, moment)
        elif isinstance(text, str) and is_national(one.kind, text, one.address):
            yield False


def _by_member(
    text: object, moment: datetime | None, own: Collection[str], searched: Sequence[KnownAddress]
) -> Iterator[bool]:
    """Yield once whether a member leads to the person with certainty; nothing if none of the members does."""
    words = set(_words(text))
    if words & set(own):
        yield True
    elif met := [one for one in searched if any(map(one.equals, words))]:
        yield any(is_of_one(one.owners, own, moment) for one in met)


def _with_owners(
    connection: Connection, book: AddressBook, tenant: str, known: Sequence[KnownAddress]
) -> Sequence[KnownAddress]:
    """Return the addresses, each with everyone at the tenant who has it."""
    if not known:
        return ()
    t = book.table
    until = exact_moment(t.c[book.until]) if book.until else null()
    pairs = ((written(t.c[one.address]), exact_moment(t.c[one.since])) for one in book.addresses.values())
    stated = list(chain.from_iterable(pairs))
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
    proved = (names_any(t.c[book.tenant], [tenant]), is_set(t.c[email.since]))
    columns = (written(t.c[book.key]), written(t.c[email.address]))
    mine = connection.execute(select(*columns).where(*proved, names_any(t.c[book.key], [*own])))
    own_forms = {normal(EMAIL, address) for _key, address in mine if address}
    for key, address in connection.execute(select(*columns).where(*proved, names_any(t.c[book.key], [*keys]))):
        if address and normal(EMAIL, address) not in own_forms:
            yield key


def _words(members: object) -> Iterator[str]:
    """Yield all texts in a JSON value, and the numbers of a list of ids; a text that is not JSON has none.

    Any other number may be an amount or a duration, which is the id of a stranger.
    """
    try:
        value = json.loads(members) if isinstance(members, str) else members
    except (ValueError, RecursionError):
        return
    yield from (str(one) for one in (value if isinstance(value, list) else ()) if type(one) is int)
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
