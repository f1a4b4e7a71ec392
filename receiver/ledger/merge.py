"""Three-way merge of one row: base is what the last import brought, ours is here, theirs is in the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Values = Mapping[str, Any]
IsSame = Callable[[str, object, object], bool]
"""Called with a column and two values."""


class OnConflict(StrEnum):
    """What to do with a value that was changed on both sides."""

    KEEP = "keep"
    """The local value stays."""
    TAKE = "take"
    """The archive's value replaces it."""
    FAIL = "fail"
    """Nothing is imported."""


@dataclass(slots=True)
class MergedRow:
    """What an import changes in a stored row."""

    taken: dict[str, Any] = field(default_factory=dict)
    """New values by column."""
    kept: set[str] = field(default_factory=set)
    """Columns with a local change, which the archive has not changed since the last import."""
    conflicts: set[str] = field(default_factory=set)
    """Columns that were changed on both sides, or that differ without an earlier import."""


def merge(base: Values, ours: Values, theirs: Values, is_same: IsSame, on_conflict: OnConflict) -> MergedRow:
    """Merge the columns of `theirs`; `base` lacks a column that no import has brought."""
    merged = MergedRow()
    for name, value in theirs.items():
        if is_same(name, ours[name], value):
            continue
        if name in base and is_same(name, ours[name], base[name]):
            merged.taken[name] = value
        elif name in base and is_same(name, value, base[name]):
            merged.kept.add(name)
        else:
            merged.conflicts.add(name)
            if on_conflict is OnConflict.TAKE:
                merged.taken[name] = value
    return merged
