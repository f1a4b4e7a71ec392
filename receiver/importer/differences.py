"""The difference that an import makes, by record and field, for a person who reviews it: JSON Lines with values.

The file has personal data. Only its owner can read it, and the caller deletes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from receiver.binding.rows import Quarantine
from receiver.ledger.merge import MergedRow

Values = Mapping[str, Any]


class Differences:
    """Writes one line for each record that is new, differs, was deleted here, or is quarantined."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write

    def new(self, dataset: str, identifier: str, values: Values) -> None:
        """Write all values of a new row."""
        if self._write is not None:
            self._line(dataset, identifier, "new", fields={name: {"theirs": value} for name, value in values.items()})

    def deleted(self, dataset: str, identifier: str) -> None:
        """Write that a row was deleted here after an import had made it."""
        self._line(dataset, identifier, "deleted_here")

    def quarantined(self, dataset: str, values: Values, place: Quarantine) -> None:
        """Write a record without a place, with the archive's own ids."""
        fields = {name: {"theirs": value} for name, value in values.items()}
        self._line(dataset, values["id"], "quarantined", field=place.field, reason=place.reason, fields=fields)

    def changed(
        self, dataset: str, identifier: str, merged: MergedRow, base: Values, ours: Values, theirs: Values
    ) -> None:
        """Write the fields that differ, with the three values and what becomes of each."""
        names = sorted({*merged.taken, *merged.kept, *merged.conflicts})
        fields = {
            name: {
                **({"base": base[name]} if name in base else {}),
                "ours": ours[name],
                "theirs": theirs[name],
                "conflict": name in merged.conflicts,
                "taken": name in merged.taken,
            }
            for name in names
        }
        if fields:
            self._line(dataset, identifier, "differs", fields=fields)

    def _line(self, dataset: str, identifier: str, what: str, **more: object) -> None:
        if self._write is not None:
            document = {"dataset": dataset, "id": identifier, "what": what, **more}
            self._write(json.dumps(document, default=_plain, ensure_ascii=True) + "\n")


def _plain(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
