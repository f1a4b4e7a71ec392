"""Which keys a table still stores, for whomever: why a record is no longer among a subject's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from exporters.sql.bulk import converted
from exporters.sql.by_keys import PART_KEYS, among, key_columns
from exporters.sql.faults import reading
from exporters.sql.source import TableSource
from exporters.sql.values import field_type, readable
from portability.api import JSON, Dataset, Sources


def stored_keys(
    sources: Sources, source: TableSource, dataset: Dataset, keys: Sequence[tuple[JSON, ...]]
) -> Collection[tuple[JSON, ...]]:
    """Return those of the keys that the dataset's own table stores, without any filter by subject.

    Databases compare texts by their collation: the values that they give are compared again.
    Raises: SourceUnavailable; SourceRefused if the key is not in that table.
    """
    columns = key_columns(source, dataset)
    wanted, found = frozenset(keys), set[tuple[JSON, ...]]()
    with reading(sources.database, f"{dataset.name}: keys") as connection:
        for begin in range(0, len(keys), PART_KEYS):
            some = keys[begin : begin + PART_KEYS]
            given = zip(*connection.execute(select(*columns).where(among(source, some))).all(), strict=True)
            values = [
                converted(field_type(of.type), readable(of.type, column))
                for of, column in zip(columns, given, strict=False)
            ]
            found |= wanted.intersection(zip(*values, strict=True))
    return found
