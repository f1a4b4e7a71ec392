"""What the tables of a map were where a read began, within its cursors and slices: another process compares with it.

A read is continued elsewhere after a worker died, and its slices are read by several workers.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise, starmap
from typing import TypeAlias

import orjson

from portability.api import Cursor, Selection, Slice
from portability.api.errors import ExporterFault

MARK = "~"
"""On both sides of a baseline, before the cursor of the reader: no cursor of a reader begins so."""
Tables: TypeAlias = frozenset[tuple[int, int]]
"""Numbers of what is read, each with one that is another when it is altered; empty: they were not looked at."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The types of columns, as a number, and the tables that are read."""

    types: int
    tables: Tables = frozenset()

    def marked(self, inner: Cursor) -> Cursor:
        """Return a cursor, or a bound of a slice, that says what the tables were."""
        stated = zlib.compress(orjson.dumps([self.types, sorted(self.tables)]))
        return f"{MARK}{urlsafe_b64encode(stated).decode()}{MARK}{inner}"


@dataclass(frozen=True, slots=True)
class ReadStart:
    """Where a read begins, in the terms of its reader."""

    selection: Selection
    after: Cursor | None
    since: Baseline | None
    """What the tables were where the read began; None: it begins here."""

    @property
    def place(self) -> Cursor | None:
        """Return a cursor or bound at which nothing of this read is behind."""
        part = self.selection.slice or Slice()
        return self.after or part.begin


def start_of(selection: Selection, after: Cursor | None) -> ReadStart:
    """Return where a read begins. Raises ExporterFault for an invalid cursor or slice."""
    part = selection.slice or Slice()
    (since_begin, begin), (since_end, end), (since_after, inner) = map(_split, (part.begin, part.end, after))
    plain = replace(selection, slice=Slice(begin, end)) if selection.slice else selection
    # All slices were cut before the first of them was read.
    return ReadStart(plain, inner, since_begin or since_end or since_after)


def marked_slices(selection: Selection, found: Iterable[Slice], baseline: Baseline) -> tuple[Slice, ...]:
    """Return the slices of a reader with what the tables were; they begin and end where the selection does."""
    slices, whole = list(found), selection.slice or Slice()
    if len(slices) <= 1:
        return (whole,)
    bounds = [whole.begin, *(baseline.marked(one.begin or "") for one in slices[1:]), whole.end]
    return tuple(starmap(Slice, pairwise(bounds)))


def _split(place: Cursor | None) -> tuple[Baseline | None, Cursor | None]:
    """Return the baseline and the cursor of the reader; a cursor of an earlier version has no baseline."""
    if not (place or "").startswith(MARK):
        return None, place
    stated, _, inner = (place or "").removeprefix(MARK).partition(MARK)
    try:
        types, tables = orjson.loads(zlib.decompress(urlsafe_b64decode(stated)))
        return Baseline(int(types), frozenset((int(one), int(kind)) for one, kind in tables)), inner
    except (TypeError, ValueError, zlib.error):
        raise ExporterFault("invalid cursor: start again without it") from None
