"""Belonging: declares which rows of a dataset belong to a person. Data only; `exporters.sql.row_filter` compiles it.

Each class has a form in maps with the same names (docs/maps.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import ColumnElement, FromClause, Table, not_

from exporters.sql.condition_values import Scalar, compared
from exporters.sql.moments import is_unset, stated_times


def sole(kind: str) -> str:
    """Return the kind of the identity of an address that belongs to no account, by the kind of the address."""
    return f"sole_{kind}"


def shared(kind: str) -> str:
    """Return the kind of the identity that asks whether the subject alone used its address: a person decides."""
    return f"shared_{kind}"


class Within(StrEnum):
    """Where an identity identifies a person."""

    TENANT = "tenant"
    """At one tenant: the row must name the same tenant."""
    PLATFORM = "platform"
    """On the whole platform: an account."""


@dataclass(frozen=True, slots=True)
class RowCondition:
    """A condition on a column; exactly one of the four is set."""

    column: str
    among: tuple[Scalar, ...] = ()
    """The values that it may have."""
    is_null: bool = False
    is_not_null: bool = False
    other_than: Scalar | None = None
    """It must be NULL or have another value."""

    def on(self, table: FromClause) -> ColumnElement[bool]:
        """Return the condition on a table or an alias of it."""
        column = table.c[self.column]
        if self.is_null or self.is_not_null:
            # MariaDB takes a day of zeros for NULL only in a column that cannot be NULL, and then for a value, too.
            is_null = column.is_(None) if stated_times(column) else is_unset(column)
            return is_null if self.is_null else not_(is_null)
        if self.other_than is not None:
            other, (value,) = compared(column, [self.other_than])
            return other.is_distinct_from(value)
        one, values = compared(column, self.among)
        return one.in_(values)


@dataclass(frozen=True, slots=True)
class ByColumn:
    """Rows whose column contains a verified identity of the subject.

    TOML: `{ column = "contact_id", identities = ["contact_id"] }`.
    """

    column: str
    identities: tuple[str, ...]
    """Kinds of identities."""
    within: Within = Within.TENANT
    fold: bool = False
    """Whether ASCII case is ignored, as in e-mail addresses."""
    only_if_null: str | None = None
    """A column that must be NULL: a row of an account belongs to the account, whatever its address is."""
    for_addresses: bool = False
    """Whether a subject that is an address has such rows too; only for identities of the whole platform."""
    where: tuple[RowCondition, ...] = ()
    """Conditions for the rows that it leads to the subject, such as the type of the row that a number names."""


@dataclass(frozen=True, slots=True)
class ByParent:
    """Rows whose column refers to a row of another dataset that belongs to the subject, at the same tenant.

    TOML: `{ column = "call_id", dataset = "calls/calls" }`. The other dataset may itself use parents: any number of
    steps. A reference may go the other way: `{ column = "id", dataset = "crm/deals", key = "company_id" }`.
    """

    column: str
    dataset: str
    """The other dataset, as `exporter/dataset`."""
    key: str = "id"
    """The column of the other dataset that the reference names."""
    only_if_null: str | None = None
    """A column of the other dataset that must be NULL, such as the end of a membership."""
    is_part: bool = False
    """Whether the row is a part of the other row: a row whose parent has another tenant is delivered to no one."""
    where: tuple[RowCondition, ...] = ()
    """As in `ByColumn`."""


@dataclass(frozen=True, slots=True)
class Step:
    """A table on the way from a row to what decides, such as the table of a relation of many to many."""

    table: Table
    here: str
    """The column of this table that equals `key`."""
    key: str = "id"
    """The column of the table before."""
    tenant: str | None = None
    where: tuple[RowCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class ByThrough:
    """Rows that lead to the subject by way of other tables: the last of them has the column of the inner way.

    TOML: `{ through = [{ table = "deal_contacts", here = "deal_id" }], column = "contact_id", identities = [...] }`.
    """

    steps: tuple[Step, ...]
    way: ByColumn | ByParent
    where: tuple[RowCondition, ...] = ()
    """As in `ByColumn`, on the table of the row; the inner way has none."""


@dataclass(frozen=True, slots=True)
class ByAddress:
    """Rows that name no person, under an address that one person of the tenant had at that time.

    TOML: `{ address = "caller_number", identity = "phone", unlinked = "contact_id", at = ["started_at", "created_at"],
    gives = "call_id" }`. Found rows become identities of the kind `gives`: `exporters.sql.address_matches`.
    """

    address: str
    """The column with the address."""
    identity: str
    """The kind of the address: `email` or `phone`."""
    unlinked: str
    """The column that names the person of a row; it must be NULL."""
    at: tuple[str, ...]
    """Columns with the time of the row: the first that has a value."""
    gives: str
    where: tuple[RowCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class ByMember:
    """Rows with an identity or address of the subject anywhere in a JSON value, such as a list of participants.

    TOML: `{ members = "participants", identities = ["contact_id", "email", "phone"], at = ["occurred_at"],
    gives = "activity_id" }`.
    """

    members: str
    """The column with the JSON value."""
    identities: tuple[str, ...]
    at: tuple[str, ...]
    gives: str


@dataclass(frozen=True, slots=True)
class BySoleAddress:
    """Rows without account under an address that the subject has proved, and that one person alone has used.

    TOML: `{ sole_address = "email", identity = "email", unlinked = "user_id", name = "name" }`. For subjects that are
    an address; `exporters.sql.sole_addresses` decides.
    """

    sole_address: str
    """The column with the address."""
    identity: str
    """The kind of the address: `email` or `phone`."""
    unlinked: str
    """The column that names the account of a row; it must be NULL. Other rows are of a second person."""
    name: str | None = None
    """A column with the name that was given: rows with different names are of different people."""

    @property
    def gives(self) -> str:
        """Return the kind of the identity that selects rows."""
        return sole(self.identity)


@dataclass(frozen=True, slots=True)
class ByNotation:
    """Rows to which a way by phone numbers leads if notations of one number count as equal.

    Each way with `identities = ["phone"]` has it beside itself; `exporters.sql.phone_notations` finds the rows.
    """

    way: ByColumn | ByThrough
    column: ByColumn
    """The way itself, or the inner way of `ByThrough`."""
    gives: str
    """The kind of the identity that names such a row by its key."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the tables between the row and the number."""
        return self.way.steps if isinstance(self.way, ByThrough) else ()

    def by_key(self, key: str) -> ByColumn:
        """Return the way of the rows that identities name."""
        return ByColumn(key, (self.gives,), self.column.within, for_addresses=self.column.for_addresses)


Rule: TypeAlias = ByColumn | ByParent | ByThrough | ByAddress | ByMember | BySoleAddress | ByNotation


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which rows of a table belong to a subject: each row to which at least one rule leads, once."""

    table: Table
    tenant: str | None = None
    """The column that names the tenant: a tenant's export contains all rows that name it. None: no tenant's rows."""
    person: tuple[Rule, ...] = ()
    """How rows lead to the person whom they are about."""
    staff: tuple[Rule, ...] = ()
    """How rows lead to a member of the tenant's staff who took part."""
    key: str = "id"
    more_key: tuple[str, ...] = ()
    """Further columns, if `key` alone does not identify a row."""
    where: tuple[RowCondition, ...] = ()
    """Conditions for all rows of the dataset, of any subject."""


@dataclass(frozen=True, slots=True)
class AddressColumns:
    """The columns of one address."""

    address: str
    since: str
    """When the person proved the address; NULL: never, and the address does not count."""


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Which person of a tenant has which address, and for how long the source shows it as theirs."""

    table: Table
    addresses: Mapping[str, AddressColumns]
    """By kind: `email` and `phone`."""
    until: str | None
    """The column with the end of the person's record: the address was theirs until then. None: records have no end."""
    identity: str
    """The kind of identity of the person's record."""
    duplicate: str
    """The kind of identity of a further record of the same person."""
    name: str
    """The column with the person's name: records with different names are different people."""
    tenant: str = "tenant_id"
    key: str = "id"


@dataclass(frozen=True, slots=True)
class AccountBook:
    """Which account has which address."""

    table: Table
    addresses: Mapping[str, AddressColumns]
    """By kind: `email` and `phone`."""
    identity: str = "user_id"
    key: str = "id"


@dataclass(frozen=True, slots=True)
class Relations:
    """All belongings of a platform by dataset, `exporter/dataset`, and its address book."""

    belongings: Mapping[str, Belonging]
    book: AddressBook | None = None
    """None: the source has no people of tenants whose addresses lead to rows."""

    def address_book(self) -> AddressBook:
        """Return the address book. Raises ValueError if it is missing."""
        if self.book is None:
            raise ValueError("these relations have no address book")
        return self.book

    @property
    def decided(self) -> frozenset[str]:
        """Return the kinds of identities that a comparison of addresses gives.

        Unverified identities of these kinds name rows that a person must review.
        """
        rules = (rule for belonging in self.belongings.values() for rule in belonging.person)
        given = (rule.gives for rule in rules if isinstance(rule, ByAddress | ByMember | ByNotation))
        return frozenset([*given, *([] if self.book is None else [self.book.duplicate])])

    def kinds(self, dataset: str) -> frozenset[str]:
        """Return the kinds of identities by which rows of a dataset are selected, over all parents."""
        found: set[str] = set()
        seen: set[str] = set()
        waiting = [dataset]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for stated in (*self.belongings[name].person, *self.belongings[name].staff):
                rule = stated.way if isinstance(stated, ByThrough) else stated
                if isinstance(rule, ByColumn):
                    found.update(rule.identities)
                elif isinstance(rule, ByParent):
                    waiting.append(rule.dataset)
                else:
                    found.add(rule.gives)
        return frozenset(found)
