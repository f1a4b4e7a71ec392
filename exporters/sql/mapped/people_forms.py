"""Forms of who the subject is in a source (docs/maps.md): look-ups, people of tenants, and accounts."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from exporters.maps.forms import MapForm, Name
from exporters.sql.mapped.way_forms import AddressKind, ColumnName, ConditionForm, TableName
from portability.api import SubjectKind


class AddressForm(MapForm):
    """The columns of an address."""

    column: ColumnName
    since: ColumnName
    """When the person proved the address; NULL: never, and the address does not count."""


class PeopleForm(MapForm):
    """The table of people whom tenants know: which person has which address, and for how long."""

    table: TableName
    key: ColumnName = "id"
    tenant: ColumnName
    name: ColumnName
    """The person's name: records with different names are different people."""
    addresses: Mapping[AddressKind, AddressForm] = Field(min_length=1)
    until: ColumnName | None = None
    """The end of the person's record: the address was theirs until then."""
    identity: Name = "contact_id"
    """The kind of the identity of a record."""
    duplicate: Name = "duplicate_contact_id"
    """The kind of the identity of a further record of the same person."""


class AccountsForm(MapForm):
    """The table of accounts: an address of an account is not that of a person without account."""

    table: TableName
    key: ColumnName = "id"
    addresses: Mapping[AddressKind, AddressForm] = Field(min_length=1)
    identity: Name = "user_id"
    """The kind of the identity of an account."""


class SqlIdentityForm(MapForm):
    """A look-up: rows whose `column` contains a verified identity of the subject give another identity."""

    table: TableName
    kind: Name = Field(alias="from")
    """The kind of the identity that `column` contains."""
    column: ColumnName
    value: ColumnName
    """The column with the identity that is found."""
    gives: Name
    """Its kind."""
    tenant: ColumnName | None = None
    verified: ColumnName | bool
    """A column that is true, or a time that is set, if the found identity is proved; or the same for all rows."""
    where: tuple[ConditionForm, ...] = ()
    kinds: frozenset[SubjectKind] | None = Field(default=None, min_length=1)
    """Kinds of subjects for which it is made; default: all."""
