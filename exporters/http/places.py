"""Places: where a reading is, as JSON, for each level of a map. They survive the death of a worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from portability.api import JSON, PRIVATE_CURSOR, Cursor
from portability.api.errors import ExporterFault

KEPT = 3
"""How many of the last keys a place remembers: the last records may be deleted before a reading continues."""
PartId: TypeAlias = "tuple[str, int, str]"
"""A part of a list: the value that it is read for, the number of its request, and the begin of its window of time."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list of one level."""

    part: PartId
    page: JSON = None
    """The page to read; None: the first page."""
    kept: tuple[str, ...] = ()
    """Keys of the last items before this place, the last of them last; of a parent: its own key."""
    given: int = 0
    """How many items of the part are before this place."""
    total: int | None = None
    """How many items the part had, if the source has stated it: fewer now mean that records have moved."""
    noted: tuple[str, ...] = ()
    """The windows of the list whose gap was reported before this place, or at its page: they get no other."""

    def to_json(self) -> JSON:
        """Return the place as JSON."""
        return [list(self.part), self.page, list(self.kept), self.given, self.total, list(self.noted)]

    @classmethod
    def from_json(cls, found: Any) -> Place:  # noqa: ANN401  # parsed JSON
        """Return the place. Raises ValueError, TypeError."""
        (value, number, window), page, kept, given, *more = found
        part = (str(value), int(number), str(window))
        size = next((int(total) for total in more[:1] if isinstance(total, int)), None)  # earlier versions wrote none
        noted = (str(window) for windows in more[1:2] for window in windows)
        return cls(part, page, tuple(map(str, kept)), int(given), size, tuple(noted))

    def after(self, keys: Sequence[str], page: JSON, total: int | None = None) -> Place:
        """Return the place at a page of the same part, after items with these keys; `total`: the size of the part."""
        return Place(self.part, page, (*self.kept, *keys)[-KEPT:], self.given + len(keys), total, self.noted)


Steps: TypeAlias = "tuple[Place | None, ...]"
"""Places from the first level of a map to the last; None as the last: everything of its parent was read."""


def to_cursor(steps: Steps) -> Cursor:
    """Return places as text: a page may be a URL with an address or a token."""
    return PRIVATE_CURSOR + json.dumps([step and step.to_json() for step in steps], separators=(",", ":"))


def from_cursor(cursor: Cursor, dataset: str) -> Steps:
    """Return the places of a cursor. Raises ExporterFault."""
    try:
        levels = json.loads(cursor.removeprefix(PRIVATE_CURSOR))
        steps = tuple(map(_step, levels))
    except (TypeError, ValueError):
        steps = ()
    if not steps or None in steps[:-1]:
        raise ExporterFault(f"{dataset}: invalid cursor: start again without it")
    return steps


def _step(level: JSON) -> Place | None:
    """Return the place of one level; None if everything of its parent was read."""
    match level:
        case None:
            return None
        case _:
            return Place.from_json(level)
