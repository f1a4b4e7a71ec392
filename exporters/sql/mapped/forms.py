"""The form of SQL maps (docs/maps.md): which rows of which tables belong to whom, and what becomes of each column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from exporters.maps.forms import DatasetForm, FieldForm, MapForm, Name, SourceForm, Text, WithheldForm
from exporters.sql.belonging import Within

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
TableName = Annotated[str, StringConstraints(pattern=r"^[^.]{1,100}(\.[^.]{1,100})?$")]
"""`table` or `schema.table`, as the database writes them."""
SettingName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
"""A setting of an application: its name has a point, so that it cannot be a setting of the server."""
DatasetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})?$")]
Scalar: TypeAlias = bool | int | float | str
TENANT = "{tenant}"
"""In a setting of the session: the tenant of the subject."""


def _require_single(form: MapForm, *names: str) -> None:
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

    @model_validator(mode="after")
    def _check(self) -> ConditionForm:
        _require_single(self, "equals", "among", "null")
        return self


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
    within: Within | None = None
    """Where the identities are valid; default: `tenant` if the dataset has a tenant, else `platform`."""
    dataset: DatasetName | None = None
    """The dataset to whose rows the column refers: of this map, or of the same platform as `exporter/dataset`."""
    key: ColumnName = "id"
    """The column of the other dataset's table that the reference names."""
    only_if_null: ColumnName | None = None
    """A column that must be NULL: with `dataset` of the other dataset's table, else of the table of `column`."""

    @model_validator(mode="after")
    def _check(self) -> RowsForm:
        _require_single(self, "identities", "dataset")
        return self


class SqlFieldForm(FieldForm):
    """A field: a column of the table. Without `type` it is a text."""

    column: ColumnName | None = None
    """Default: the column with the field's name."""


class RetentionForm(MapForm):
    """How a row shows that its retention period is over. The register of the notice states the periods."""

    until: ColumnName | None = None
    """A time: the end of the period of this row."""
    since: ColumnName | None = None
    """A time or date at which the period of the register begins."""
    hold: ColumnName | None = None
    """A truth value: the row is under a legal hold."""
    hook: Name | None = None
    """The name of a hook that makes the rule, where columns of the row are not enough."""

    @model_validator(mode="after")
    def _check(self) -> RetentionForm:
        _require_single(self, "until", "since", "hook")
        return self


class FileForm(MapForm):
    """Columns that say which file of the storage `files` belongs to a row."""

    key: ColumnName
    media_type: ColumnName | None = None
    bytes: ColumnName | None = None
    sha256: ColumnName | None = None


class DisclosuresForm(MapForm):
    """Fields of a dataset that say to whom data was disclosed: the notice lists these recipients."""

    recipient: Name
    at: Name | None = None


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


class TenantsForm(MapForm):
    """A table that lists all tenants, which the account can read without settings of a session."""

    table: TableName
    column: ColumnName


class SqlSessionForm(MapForm):
    """What each transaction of this source sets first."""

    set: Mapping[SettingName, str] = Field(default_factory=dict)
    """Settings of PostgreSQL, such as those of row-level security; `{tenant}` is the tenant of the subject."""
    tenants: TenantsForm | None = None
    """For subjects without a tenant: they are looked for at each tenant."""
    shows_all_rows: bool = False
    """Whether the policies of row-level security show all rows to this account, without any setting."""
    statement_seconds: int = Field(default=60, ge=1, le=3600)

    @property
    def needs_tenant(self) -> bool:
        """Return whether a setting contains the tenant, so that nothing can be read without one."""
        return any(TENANT in value for value in self.set.values())


class TablesForm(MapForm):
    """Tables of the database that are not a dataset."""

    internal: Mapping[TableName, Text] = Field(default_factory=dict)
    """Tables without personal data, each with the reason."""
    undecided: tuple[TableName, ...] = ()


class SqlDatasetForm(DatasetForm):
    """A dataset of one table or view. Columns that no key names are not read."""

    table: TableName
    tenant: ColumnName | None = None
    """The column that names the tenant: a tenant gets all rows that name it."""
    rows: tuple[RowsForm, ...] = ()
    staff: tuple[RowsForm, ...] = ()
    """How rows lead to a member of the tenant's staff; the tenant decides about these rows."""
    where: tuple[ConditionForm, ...] = ()
    """Conditions for all rows, whosever they are."""
    order: tuple[ColumnName, ...] = Field(default=(), min_length=1)
    """Columns of the order of reading: together unique, never NULL, never changed. Default: those of `key`."""
    created: ColumnName | None = None
    """The time of creation, which never changes."""
    changed: ColumnName | None = None
    """The time of the last change: with `--since`, a row that was changed since then is exported too."""
    deleted: ColumnName | None = None
    """The time at which the source marked the row as deleted."""
    retention: RetentionForm | None = None
    file: FileForm | None = None
    disclosures: DisclosuresForm | None = None
    fields: Mapping[Name, SqlFieldForm] = Field(default_factory=dict)
    """Without any field the dataset is a draft: it is not exported, and may be a step of other paths."""
    withheld: Mapping[ColumnName, WithheldForm] = Field(default_factory=dict)
    internal: Mapping[ColumnName, Text] = Field(default_factory=dict)
    """Columns that say nothing about a subject, each with the reason."""
    undecided: tuple[ColumnName, ...] = ()

    def column_of(self, field: str) -> str:
        """Return the column of a field."""
        return (self.fields[field].column if field in self.fields else None) or field

    @property
    def is_draft(self) -> bool:
        """Return whether no one has decided on any field yet."""
        return not self.fields

    @property
    def key_is_known(self) -> bool:
        """Return whether every name of the key is a field."""
        return self.fields.keys() >= set(self.key)

    @property
    def key_columns(self) -> Sequence[str]:
        """Return the columns of the dataset's key."""
        return [self.column_of(name) for name in self.key]

    @property
    def order_columns(self) -> Sequence[str]:
        """Return the columns of the order of reading."""
        return self.order or self.key_columns


class SqlSourceForm(SourceForm):
    """A map of a database."""

    session: SqlSessionForm = SqlSessionForm()
    identity: tuple[SqlIdentityForm, ...] = ()
    dataset: tuple[SqlDatasetForm, ...] = ()
    tables: TablesForm = TablesForm()

    def steps(self) -> Iterator[tuple[Sequence[str | int], SqlDatasetForm, RowsForm]]:
        """Yield all ways of rows and staff, each with its place in the map and its dataset."""
        for place, dataset in enumerate(self.dataset):
            for part in ("rows", "staff"):
                for number, way in enumerate(getattr(dataset, part)):
                    yield ("dataset", place, part, number), dataset, way
