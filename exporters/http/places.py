"""Places: where a reading is, as JSON, for each level of a map. They survive the death of a worker."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from typing import Any, TypeAlias

from portability.api import JSON, PRIVATE_CURSOR, Cursor
from portability.api.errors import ExporterFault

KEPT = 3
"""How many of the last keys a place remembers: the last records may be deleted before a reading continues."""
SUMS = 1 << 64
"""How many sums of keys there are."""
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
    sum: int | None = None
    """The sum of the subject's keys before this place, as `sum_of`; None: not known."""
    left_out: int = 0
    """How many items of the answers before this place the map's expression leaves out; the source counts them, too."""

    @property
    def counted(self) -> int:
        """Return how many items the source has given before this place."""
        return self.given + self.left_out

    def to_json(self) -> JSON:
        """Return the place as JSON."""
        more = [self.total, list(self.noted), self.sum, self.left_out]
        return [list(self.part), self.page, list(self.kept), self.given, *more]

    @classmethod
    def from_json(cls, found: Any) -> Place:  # noqa: ANN401  # parsed JSON
        """Return the place. Raises ValueError, TypeError."""
        (value, number, window), page, kept, given, *more = found
        part = (str(value), int(number), str(window))
        size = next((int(total) for total in more[:1] if isinstance(total, int)), None)  # earlier versions wrote none
        noted = (str(window) for windows in more[1:2] for window in windows)
        known = next((one for one in more[2:3] if isinstance(one, int)), None)
        left_out = sum(int(one) for one in more[3:4])
        return cls(part, page, tuple(map(str, kept)), int(given), size, tuple(noted), known, left_out)

    def after(
        self, keys: Sequence[str], page: JSON, total: int | None = None, wanted: Iterable[str] = (), left_out: int = 0
    ) -> Place:
        """Return the place at a page of the same part, after items with these keys; `total`: the size of the part.

        `wanted` are those of the subject that were not given before; `left_out`: how many others there are.
        """
        before = self.sum if self.given else 0
        behind = (before + sum_of(wanted)) % SUMS if isinstance(before, int) else None
        kept, given = (*self.kept, *keys)[-KEPT:], self.given + len(keys)
        return Place(self.part, page, kept, given, total, self.noted, behind, self.left_out + left_out)

    def is_behind(self, wanted: Collection[str], keys: Collection[str]) -> bool:
        """Return whether the subject's keys before this place are these, as far as its sum is known.

        `keys` are all that are before it now. A key that is gone is a difference, unless it is one of the last.
        """
        gone = {*self.kept} - {*keys}
        explained = {sum_of(some) for count in range(len(gone) + 1) for some in combinations(gone, count)}
        return (self.sum - sum_of(wanted)) % SUMS in explained if isinstance(self.sum, int) else True


def order_of(part: PartId) -> tuple[int, str, int, str]:
    """Return the order of parts: that of the values' numbers, if they are numbers."""
    value, number, window = part
    return len(value), value, number, window


def sum_of(keys: Iterable[str]) -> int:
    """Return a sum of hashes: the same for the same keys in any order."""
    hashes = (blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return sum(map(int.from_bytes, hashes)) % SUMS


Steps: TypeAlias = "tuple[Place | None, ...]"
"""Places from the first level of a map to the last; None at the end: everything of the level above was read."""


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
    begun = tuple(filter(None, steps))
    if not steps or (steps != (None,) and not begun) or steps[: len(begun)] != begun:
        raise ExporterFault(f"{dataset}: invalid cursor: start again without it")
    return steps


def _step(level: JSON) -> Place | None:
    """Return the place of one level; None if everything of its parent was read."""
    match level:
        case None:
            return None
        case _:
            return Place.from_json(level)
