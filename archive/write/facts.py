"""Facts of a volume's records that its schemas state: which fields have only known values, which references lead on.

A source may write what no one declared, and a record may refer to one that is not delivered. So the schemas state only
what was seen to be true of every record of the volume.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from portability.api import JSON, Dataset, FieldType

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

    def add(self, exporter: str, dataset: Dataset, columns: Mapping[str, Sequence[JSON]]) -> None:
        """Take records of a dataset by column, with every field: all of the volume, in batches of any size."""
        name = (exporter, dataset.name)
        self._seen.add(name)
        for field in dataset.fields:
            if field.values and (name, field.name) not in self._unknown:
                known = {None, *(one.value for one in field.values)}
                if not known.issuperset(columns[field.name]):
                    self._unknown.add((name, field.name))
        if not self._is_too_much:
            self._compare(name, dataset, columns)

    def absorb(self, more: VolumeFacts) -> None:
        """Add the facts of other records of the volume."""
        self._seen |= more._seen
        self._unknown |= more._unknown
        self._types |= more._types
        for name, keys in more._keys.items():
            self._keys[name] |= keys
        for place, references in more._references.items():
            self._references[place] |= references
        self._is_too_much |= more._is_too_much
        self._bound()

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

    def _compare(self, name: Name, dataset: Dataset, columns: Mapping[str, Sequence[JSON]]) -> None:
        path = "/".join(name)
        if len(dataset.key) == 1:
            key = dataset.key[0]
            self._types[path] = (key, {one.name: one.type for one in dataset.fields}.get(key))
            self._keys[path].update(columns[key])
        for field in dataset.fields:
            if field.refers_to is not None:
                self._references[name, field.name].update(set(columns[field.name]) - {None})
        self._bound()

    def _bound(self) -> None:
        """Keep no keys and references if they are too many."""
        sizes = (len(those) for values in (self._keys, self._references) for those in values.values())
        if self._is_too_much or sum(sizes) > COMPARED_MAX:
            self._is_too_much = True
            self._keys.clear()
            self._references.clear()
