"""Facts of a volume's records that its schemas state: which fields have only known values, which references lead on.

A source may write what no one declared, and a record may refer to one that is not delivered. So the schemas state only
what was seen to be true of every record of the volume.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from portability.api import Dataset, FieldType

COMPARED_MAX = 200_000
"""Keys and references of a volume that are compared, 20 MB at most; of a volume with more, no reference is stated."""
Name = tuple[str, str]
"""Exporter and dataset."""


class VolumeFacts:
    """What is true of all records of a volume; nothing is stated about a dataset whose records it did not get."""

    def __init__(self) -> None:
        self._seen: set[Name] = set()
        self._unknown: set[tuple[Name, str]] = set()
        """Fields with a value that is not declared."""
        self._keys: defaultdict[str, set[Any]] = defaultdict(set)
        self._references: defaultdict[tuple[Name, str], set[Any]] = defaultdict(set)
        self._types: dict[str, tuple[str, FieldType | None]] = {}
        """The field that is the key of a dataset, and its type."""
        self._is_too_much = False

    def add(self, exporter: str, dataset: Dataset, records: Iterable[Mapping[str, Any]]) -> None:
        """Take records of a dataset: all of the volume, in batches of any size."""
        rows, name = list(records), (exporter, dataset.name)
        self._seen.add(name)
        for field in dataset.fields:
            if field.values and (name, field.name) not in self._unknown:
                known = {None, *(one.value for one in field.values)}
                if not known.issuperset(row.get(field.name) for row in rows):
                    self._unknown.add((name, field.name))
        if not self._is_too_much:
            self._compare(name, dataset, rows)

    def has_known_values(self, exporter: str, dataset: Dataset, field: str) -> bool:
        """Return whether every value of a field is one that the dataset declares, or null."""
        name = (exporter, dataset.name)
        declared = any(one.values for one in dataset.fields if one.name == field)
        return declared and name in self._seen and (name, field) not in self._unknown

    def key_of(self, exporter: str, dataset: Dataset, field: str) -> str | None:
        """Return the key field of the dataset that a field refers to; None unless every value leads to a record."""
        name = (exporter, dataset.name)
        referring = {each.name: each for each in dataset.fields}[field]
        target = referring.refers_to or ""
        if self._is_too_much or name not in self._seen or target not in self._types:
            return None
        key, key_type = self._types[target]
        every_reference_leads = self._references[name, field] <= self._keys[target]
        return key if every_reference_leads and key_type is referring.type else None

    def _compare(self, name: Name, dataset: Dataset, rows: list[Mapping[str, Any]]) -> None:
        path = "/".join(name)
        if len(dataset.key) == 1:
            key = dataset.key[0]
            self._types[path] = (key, {one.name: one.type for one in dataset.fields}.get(key))
            self._keys[path].update(row.get(key) for row in rows)
        for field in dataset.fields:
            if field.refers_to is not None:
                found = {row.get(field.name) for row in rows}
                self._references[name, field.name].update(found - {None})
        sizes = (len(those) for values in (self._keys, self._references) for those in values.values())
        if sum(sizes) > COMPARED_MAX:
            self._is_too_much = True
            self._keys.clear()
            self._references.clear()
