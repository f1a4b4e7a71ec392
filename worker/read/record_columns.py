"""One field of all records of a batch, read and replaced: for records, and for rows that are stored by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portability.api import JSON, Record
from portability.api.rows import Rows, lines


def column(records: Sequence[Record], name: str) -> Sequence[JSON]:
    """Return one field of all records."""
    if isinstance(records, Rows) and name in records.names:
        return records.columns[records.names.index(name)]
    return [record.get(name) for record in records]


def with_columns(records: Sequence[Record], columns: Mapping[str, Sequence[JSON]]) -> Sequence[Record]:
    """Return the records with other values in the fields that they have."""
    if isinstance(records, Rows):
        redacted = [columns.get(name, values) for name, values in zip(records.names, records.columns, strict=True)]
        return Rows(records.names, redacted, bytes(lines(records.names, redacted)))
    return tuple(
        {**record, **{name: values[place] for name, values in columns.items() if name in record}}
        for place, record in enumerate(records)
    )
