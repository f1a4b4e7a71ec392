"""Forms of the ways by which rows lead to a person (docs/maps.md), and of what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from exporters.maps.forms import ALTERNATIVE, MapForm, Name
from exporters.sql.belonging import Within
from exporters.sql.condition_values import Scalar
from portability.people.addresses import PHONE

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
TableName = Annotated[str, StringConstraints(pattern=r"^[^.]{1,100}(\.[^.]{1,100}){0,3}$")]
"""`table` or `schema.table`, as the database writes them; what is before the last point is the schema."""
DatasetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})?$")]
AddressKind: TypeAlias = Literal["email", "phone"]


def require_single(form: MapForm, *names: str) -> None:
    """Raise ValueError unless exactly one of the keys has a value."""
    stated = [name for name in names if name in form.model_fields_set]
    if len(stated) != 1:
        found = " and ".join(stated) or "no such key"
        raise ValueError(f"write exactly one of {', '.join(names)}, found {found}")


class ConditionForm(MapForm):
    """A condition on a column."""

    column: ColumnName
    equals: Scalar | None = None
    among: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    null: bool | None = None
    """True: the column must be NULL; false: it must have a value."""
    other_than: Scalar | None = None
    """The column must be NULL or have another value."""

    @model_validator(mode="after")
    def _check(self) -> ConditionForm:
        require_single(self, "equals", "among", "null", "other_than")
        return self

    @property
    def values(self) -> Sequence[Scalar]:
        """Return the values with which the column is compared."""
        single = (self.equals, self.other_than)
        return self.among or [value for value in single if value is not None]


class StepForm(MapForm):
    """A table between a dataset and the column that decides, such as the table of a relation of many to many."""

    table: TableName
    here: ColumnName
    """The column of this table that equals `key`."""
    key: ColumnName = "id"
    """The column of the table before this step; before the first step, of the dataset's table."""
    tenant: ColumnName | None = None
    """The column of this table that names the tenant: it must equal the tenant of the row."""
    where: tuple[ConditionForm, ...] = ()


class RowsForm(MapForm):
    """A way by which rows lead to a person: by a verified identity, or by a row of another dataset."""

    through: tuple[StepForm, ...] = ()
    column: ColumnName
    """Of the dataset's table; with `through`, of the last step's table."""
    identities: tuple[Name, ...] = Field(default=(), min_length=1)
    """Kinds of identities that the column may contain."""
    normalised: bool = False
    """Whether all phone numbers of the column have the normal form, so that none is searched in other notations."""
    within: Within | None = None
    """Where the identities are valid; default: `tenant` if the dataset has a tenant, else `platform`."""
    dataset: DatasetName | None = None
    """The dataset to whose rows the column refers: of this map, or of the same platform as `exporter/dataset`."""
    key: ColumnName = "id"
    """The column of the other dataset's table that the reference names."""
    only_if_null: ColumnName | None = None
    """A column that must be NULL: with `dataset` of the other dataset's table, else of the table of `column`."""
    where: tuple[ConditionForm, ...] = ()
    """Conditions on the dataset's table for the rows that this way may lead to a person."""
    part: bool = False
    """Whether the row is a part of the other dataset's row, such as a message of a conversation."""

    @model_validator(mode="after")
    def _check(self) -> RowsForm:
        require_single(self, "identities", "dataset")
        if self.normalised and PHONE not in self.identities:
            raise ValueError('normalised: only a way with identities = ["phone"] has it')
        return self

    @property
    def has_notations(self) -> bool:
        """Return whether the column may have a phone number in another notation than its normal form."""
        return PHONE in self.identities and not self.normalised


class AddressRowsForm(MapForm):
    """Rows that name no person, under an address that one person of the tenant had at that time."""

    address: ColumnName
    """The column with the address."""
    identity: AddressKind
    unlinked: ColumnName
    """The column that names the person of a row; it must be NULL."""
    at: tuple[ColumnName, ...] = Field(min_length=1)
    """Columns with the time of the row: the first that has a value."""
    gives: Name
    """The kind of the identities that name such rows."""
    where: tuple[ConditionForm, ...] = ()


class MemberRowsForm(MapForm):
    """Rows with an identity or address of the person anywhere in a JSON value, such as a list of participants."""

    members: ColumnName
    """The column with the JSON value."""
    identities: tuple[Name, ...] = Field(min_length=1)
    """Kinds of addresses, beside the kind of the person's record."""
    at: tuple[ColumnName, ...] = Field(min_length=1)
    """Columns with the time of the row: the first that has a value."""
    gives: Name
    """The kind of the identities that name such rows."""


class SoleAddressRowsForm(MapForm):
    """Rows without account under an address that the subject has proved, and that one person alone has used."""

    sole_address: ColumnName
    """The column with the address."""
    identity: AddressKind
    unlinked: ColumnName
    """The column that names the account of a row; it must be NULL. Other rows are of a second person."""
    name: ColumnName | None = None
    """A column with the name that was given: rows with different names are of different people."""


def _alternative(way: object) -> str:
    """Return which form a way has, by the key that no other form has."""
    keys = way if isinstance(way, dict) else type(way).model_fields if isinstance(way, MapForm) else ()
    found = next((key for key in ("address", "members", "sole_address") if key in keys), "column")
    return f"{ALTERNATIVE}{found}"


WayForm: TypeAlias = Annotated[
    Annotated[RowsForm, Tag(f"{ALTERNATIVE}column")]
    | Annotated[AddressRowsForm, Tag(f"{ALTERNATIVE}address")]
    | Annotated[MemberRowsForm, Tag(f"{ALTERNATIVE}members")]
    | Annotated[SoleAddressRowsForm, Tag(f"{ALTERNATIVE}sole_address")],
    Discriminator(_alternative),
]
