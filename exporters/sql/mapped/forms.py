"""The form of SQL maps (docs/maps.md): which rows of which tables belong to whom, and what becomes of each column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from exporters.maps.forms import (
    DatasetForm,
    DecisionForm,
    FieldForm,
    MapForm,
    Name,
    ReadFormat,
    SourceForm,
    Text,
    TimesForm,
    UnsetValue,
    WithheldForm,
)
from exporters.sql.belonging import Within
from exporters.sql.mapped.change_forms import ChangesForm, OutboxForm
from exporters.sql.mapped.people_forms import AccountsForm, PeopleForm, SqlIdentityForm
from exporters.sql.mapped.way_forms import (
    ColumnName,
    ConditionForm,
    RowsForm,
    StepForm,
    TableName,
    WayForm,
    require_single,
)
from exporters.sql.moments import StatedTimes

SettingName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
"""A setting of an application: its name has a point, so that it cannot be a setting of the server."""
TENANT = "{tenant}"
"""In a setting of the session: the tenant of the subject."""


class SqlFieldForm(FieldForm):
    """A field: a column of the table. Without `type` it is a text."""

    column: ColumnName | None = None
    """Default: the column with the field's name, unless `joined` gives the value."""
    joined: ColumnName | None = None
    """A column of the table that `join` names: its value, or where that is NULL the value of `column`."""


class RetentionForm(MapForm):
    """How a row shows that its retention period is over. The register of the notice states the periods."""

    until: ColumnName | None = None
    """A time: the end of the period of this row."""
    since: ColumnName | None = None
    """A time or date at which the period of the register begins."""
    hold: ColumnName | None = None
    """A truth value: the row is under a legal hold."""
    where: tuple[ConditionForm, ...] = ()
    """Conditions for the rows that have a period; other rows have none."""
    hook: Name | None = None
    """The name of a hook that makes the rule, where columns of the row are not enough."""

    @model_validator(mode="after")
    def _check(self) -> RetentionForm:
        require_single(self, "until", "since", "hook")
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


class TenantsForm(MapForm):
    """A table that lists all tenants, which the account can read without settings of a session."""

    table: TableName
    column: ColumnName


class SqlSessionForm(MapForm):
    """What each transaction of this source sets first."""

    set: Mapping[SettingName, str] = Field(default_factory=dict)
    """Settings of PostgreSQL, such as those of row-level security; `{tenant}` is the tenant of the subject."""
    tenants: TenantsForm | None = None
    """For subjects without a tenant: they are looked for at each tenant. Other tenants are not known."""
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


class ColumnTimesForm(TimesForm):
    """How columns contain times whose type says that they are numbers or texts."""

    format: ReadFormat
    unset: tuple[UnsetValue, ...] = (0, -1, "")

    @property
    def stated(self) -> StatedTimes:
        """Return the same for the engine."""
        return StatedTimes(self.format, self.zone, frozenset(map(str, self.unset)))


class SqlDatasetForm(DatasetForm):
    """A dataset of one table or view. Columns that no key names are not read."""

    table: TableName
    tenant: ColumnName | None = None
    """The column that names the tenant: a tenant gets all rows that name it."""
    rows: tuple[WayForm, ...] = ()
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
    join: StepForm | None = None
    """A table with at most one row for each row of the dataset, for fields with `joined`."""
    fields: Mapping[Name, SqlFieldForm] = Field(default_factory=dict)
    """Without any field the dataset is a draft: it is not exported, and may be a step of other paths."""
    withheld: Mapping[ColumnName, WithheldForm] = Field(default_factory=dict)
    internal: Mapping[ColumnName, Text] = Field(default_factory=dict)
    """Columns that say nothing about a subject, each with the reason."""
    undecided: tuple[ColumnName, ...] = ()

    def column_of(self, field: str) -> str:
        """Return the column of a field."""
        return (self.fields[field].column if field in self.fields else None) or field

    @cached_property
    def own_columns(self) -> Mapping[str, str]:
        """Return the columns of the dataset's table by the fields that they give."""
        own = (name for name, field in self.fields.items() if field.column or not field.joined)
        return {name: self.column_of(name) for name in own}

    @property
    def exact_rows(self) -> Sequence[RowsForm]:
        """Return the ways of rows by a column, without those that compare addresses."""
        return [way for way in self.rows if isinstance(way, RowsForm)]

    @property
    def usual_within(self) -> Within:
        """Return where an identity of a way counts that does not state it."""
        return Within.TENANT if self.tenant is not None else Within.PLATFORM

    @property
    def part_of(self) -> RowsForm | None:
        """Return the way to the row of which a row is a part."""
        return next((way for way in self.exact_rows if way.part), None)

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
        """Return the columns of the dataset's key; a draft has no fields that say them, so its order does."""
        return self.order if self.is_draft and self.order else [self.column_of(name) for name in self.key]

    @property
    def order_columns(self) -> Sequence[str]:
        """Return the columns of the order of reading."""
        return self.order or self.key_columns


class ConversationsForm(MapForm):
    """Conversations with all their parts as one record each, for formats that make documents: the dataset `vcon`."""

    title: Text
    description: Text
    dataset: Name
    """The dataset with a row for each conversation. Datasets whose rows are `part` of such a row are its parts."""
    spoken: Name
    """The part with a field `text`, which determines the size of a conversation."""
    shape: Name
    """The name of the hook that makes the record of docs/vcon.md."""


class AgainstForm(MapForm):
    """A comparison of the map that is right although foreign keys of the database say otherwise."""

    column: Text
    """`table.column`, whose foreign keys they are."""
    keys: tuple[Text, ...] = Field(min_length=1)
    """The columns to which they lead: a further key is found again."""
    compared: tuple[Text, ...] = Field(min_length=1)
    """The columns with which the map compares it."""


class SqlDecisionForm(DecisionForm):
    """A decision, also that the map is right and a foreign key is not, or that rows without tenant are of no one."""

    about: tuple[Text, ...] = ()
    against: tuple[AgainstForm, ...] = ()
    without_tenant: tuple[Text, ...] = ()
    """Columns of tenants, `table.column`, that may be empty: such rows are of no company and no contact."""

    @model_validator(mode="after")
    def _check(self) -> SqlDecisionForm:
        if not (self.about or self.against or self.without_tenant):
            raise ValueError("a decision has `about`, `against` or `without_tenant`")
        if self.against and not self.note:
            raise ValueError("a decision against a foreign key has its reason in `note`")
        if self.without_tenant and not self.note:
            raise ValueError("a decision about rows without tenant has its reason in `note`")
        return self


class SqlSourceForm(SourceForm):
    """A map of a database."""

    decision: tuple[SqlDecisionForm, ...] = ()

    session: SqlSessionForm = SqlSessionForm()
    people: PeopleForm | None = None
    accounts: AccountsForm | None = None
    identity: tuple[SqlIdentityForm, ...] = ()
    dataset: tuple[SqlDatasetForm, ...] = ()
    conversations: ConversationsForm | None = None
    changes: ChangesForm | None = None
    tables: TablesForm = TablesForm()
    times: Mapping[Text, ColumnTimesForm] = Field(default_factory=dict)
    """Columns of times whose type says that they are numbers or texts: `table.column`, or `column` of any table."""

    @property
    def outboxes(self) -> Sequence[OutboxForm]:
        """Return the table in which changes are recorded, if there is one."""
        return (self.changes.outbox,) if self.changes and self.changes.outbox else ()

    def ways(self) -> Iterator[tuple[Sequence[str | int], SqlDatasetForm, WayForm]]:
        """Yield all ways of rows and staff, each with its place in the map and its dataset."""
        for place, dataset in enumerate(self.dataset):
            for number, way in enumerate(dataset.rows):
                yield ("dataset", place, "rows", number), dataset, way
            for number, step in enumerate(dataset.staff):
                yield ("dataset", place, "staff", number), dataset, step

    def steps(self) -> Iterator[tuple[Sequence[str | int], SqlDatasetForm, RowsForm]]:
        """Yield those of them that are by a column."""
        return ((path, dataset, way) for path, dataset, way in self.ways() if isinstance(way, RowsForm))

    def compared(self) -> Iterator[tuple[Sequence[str | int], tuple[str, str], tuple[str, str]]]:
        """Yield what joins and ways compare: a place in the map, and two columns with their tables."""
        for place, dataset in enumerate(self.dataset):
            if (join := dataset.join) is not None:
                yield ("dataset", place, "join", "here"), (dataset.table, join.key), (join.table, join.here)
        tables = {one.name: one.table for one in self.dataset}
        for path, dataset, way in self.steps():
            table = dataset.table
            for number, step in enumerate(way.through):
                yield (*path, "through", number, "here"), (table, step.key), (step.table, step.here)
                table = step.table
            if way.dataset is not None:
                yield (*path, "column"), (table, way.column), (tables[way.dataset], way.key)

    def parts(self, name: str) -> Sequence[SqlDatasetForm]:
        """Return the datasets whose rows are a part of a row of this dataset."""
        return [one for one in self.dataset if one.part_of is not None and one.part_of.dataset == name]
