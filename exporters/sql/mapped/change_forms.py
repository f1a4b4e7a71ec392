"""The form of a map's changes: where the database itself states what has changed, so that a feed reads only that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from exporters.maps.forms import MapForm, Name, Text
from exporters.sql.mapped.way_forms import ColumnName, TableName
from portability.api import ChangeMode

Days = Annotated[int, Field(ge=1, le=366)]
Seconds = Annotated[int, Field(ge=1, le=604_800)]


class OutboxForm(MapForm):
    """A table with an entry for each change, written in the transaction of the change."""

    table: TableName
    dataset: ColumnName = "table_name"
    """The column that names the table of the record."""
    key: ColumnName = "row_key"
    """The column with the key of the record as text; a key of several fields is a JSON array."""
    transaction: ColumnName | None = None
    """PostgreSQL: the column with the transaction, `xid8` or a bigint, whose default is `pg_current_xact_id()`."""
    at: ColumnName | None = None
    """The column with the time of the entry: needed without `transaction`."""
    tenant: ColumnName | None = None
    """The column that names the tenant of the record; NULL: of any tenant."""
    names: Mapping[Name, tuple[Text, ...]] = Field(default_factory=dict)
    """By dataset: the names that entries use; default: the name of its table, with and without its schema."""

    @model_validator(mode="after")
    def _check(self) -> OutboxForm:
        if self.transaction is None and self.at is None:
            raise ValueError("write `transaction`, or `at` where the database has no numbers of transactions")
        return self


class ChangesForm(MapForm):
    """What the database states about changes. All other datasets are compared by hashes."""

    datasets: tuple[Name, ...] = Field(min_length=1)
    """The datasets of which every change is stated."""
    outbox: OutboxForm | None = None
    """Default: the column `changed` of each dataset."""
    overlap_seconds: Seconds = 3_600
    """How long a transaction may be open, and how far clocks may differ, where times decide."""
    reconcile_days: Days = 7
    """After how many days everything is compared by hashes again."""

    @property
    def mode(self) -> ChangeMode:
        """Return how changes are stated."""
        return ChangeMode.UPDATED_AT if self.outbox is None else ChangeMode.OUTBOX
