"""The way from a subject's identities through parents to the records of a dataset, with its place at each level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporters.http.listing import Listing, ListItem, ListPage
from exporters.http.places import Steps
from exporters.http.templates import Names
from portability.api import Record
from portability.api.errors import ExporterFault


@dataclass(frozen=True, slots=True)
class WalkContext:
    """What a level knows of the levels above it."""

    names: Names = field(default_factory=dict, repr=False)
    """Values for templates."""
    record: Record = field(default_factory=dict, repr=False)
    """The record of the parent, for `parent:`."""
    item: Any = field(default=None, repr=False)
    """The item of the parent, for `each`."""
    asked: Sequence[str] = ()
    """Ids that the next level asks for; each must be among its items."""


class Level(Protocol):
    """One step of the way."""

    @property
    def batch(self) -> int | None:
        """How many items of the level above one request takes; None: one item, without a list of ids."""
        ...

    def listing(self, context: WalkContext) -> Listing:
        """Return the list of this level below a parent."""
        ...

    def check_parents(self, items: Sequence[ListItem]) -> None:
        """Raise SourceRefused if items of the level above lack what this level reads in them."""
        ...

    def below(self, items: Sequence[ListItem], context: WalkContext) -> WalkContext:
        """Return what the next level knows of items of this level."""
        ...


@dataclass(frozen=True, slots=True)
class WalkedPage:
    """A page of the last level."""

    items: Sequence[ListItem]
    context: WalkContext
    steps: Steps
    """The places behind this page."""
    missing: Sequence[str] = ()


def walk(
    levels: Sequence[Level], start: Steps | None = None, context: WalkContext | None = None
) -> Iterator[WalkedPage]:
    """Yield the pages of the last level, from some places on; `context`: what is known above the first level.

    Raises: SourceUnavailable, SourceRefused; ExporterFault for places of another map.
    """
    if start is not None and len(start) != len(levels):
        raise ExporterFault("invalid cursor: the map has changed; start again without it")
    return _walk(levels, context or WalkContext(), start)


def _walk(levels: Sequence[Level], context: WalkContext, start: Steps | None) -> Iterator[WalkedPage]:
    level, *lower = levels
    place = start[0] if start else None
    if start and place is None:
        return
    listing = level.listing(context)
    if not lower:
        for page in listing.pages(place):
            yield WalkedPage(page.items, context, (page.after,), page.missing)
        return
    # A parent that was read to its end is not entered again.
    inner = start[1:] if start and place is not None and any(start[1:]) else None
    for page in listing.pages(place, enters=inner is not None):
        lower[0].check_parents(page.items)
        is_silent = True
        for items in _chunks(page.items, lower[0].batch):
            is_current = inner is not None and place is not None and place.kept[-1:] == (items[0].key,)
            below = level.below(items, context)
            for walked in _walk(lower, below, inner if is_current else None):
                yield WalkedPage(walked.items, walked.context, _steps(page, items, walked.steps), walked.missing)
                is_silent = False
            inner = None
        if is_silent and page.after:
            # The page has nothing of the person: without a place, a slow reading would begin before it again.
            yield WalkedPage((), context, (page.after, *(None for _ in lower)))


def _steps(page: ListPage, items: Sequence[ListItem], below: Steps) -> Steps:
    """Return the places: a chunk that was read to its end is named by its last item, a begun chunk by its first."""
    return (page.place_at(items[-1] if below == (None,) else items[0]), *below)


def _chunks(items: Sequence[ListItem], size: int | None) -> Iterator[Sequence[ListItem]]:
    step = size or 1
    return (items[begin : begin + step] for begin in range(0, len(items), step))


def named(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return values under the names that templates use: `tickets.id`."""
    return {f"{prefix}.{name}": value for name, value in values.items()}
