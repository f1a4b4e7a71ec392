"""Which keys a table still stores, for whomever: why a record is no longer among a subject's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from sqlalchemy import select

from exporters.sql.by_keys import PART_KEYS, among, delivered_keys, key_columns, selected_keys
from exporters.sql.faults import reading
from exporters.sql.source import TableSource
from exporters.sql.values import NOT_JSON
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
            query = select(*selected_keys(columns)).where(among(source, some))
            for row in connection.execute(query).all():
                with suppress(*NOT_JSON):  # no archive has such a key
                    found |= wanted.intersection(delivered_keys(columns, [row]))
    return found
