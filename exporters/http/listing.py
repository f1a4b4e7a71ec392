"""A list of a source, page by page, in a stable order: continued at a place, and without doubles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from exporters.http import paging
from exporters.http.client import PlaceExpired
from exporters.http.forms import PageForm, RequestForm
from exporters.http.places import PartId, Place, order_of
from exporters.http.templates import Names
from portability.api import JSON
from portability.api.errors import SourceRefused, SourceUnavailable

RESTARTS = 3
"""How often a list is begun again because its places have expired or its records have moved."""
INCOMPLETE_LIST = "incomplete_list"
"""The reason of a gap for a list of which the source gives less than there is."""
CHANGED = "changed"
"""The reason of a gap for a list whose records have moved while it was read."""
KEYS_MOST = 100_000
"""Keys that are compared to find doubles: a longer list needs a hook."""


@dataclass(frozen=True, slots=True)
class ListPart:
    """One request of a list, for one value and one window of time."""

    id: PartId
    form: RequestForm
    names: Names = field(repr=False)
    bounds: tuple[Any, Any] | None = None
    """The window: its begin, inclusive, and its end, exclusive."""


@dataclass(slots=True)
class ListItem:
    """An item of an answer."""

    key: str
    value: Any = field(default=None, repr=False)
    is_wanted: bool = True
    """Whether it is the subject's, and fits all conditions of the map."""
    names: Names = field(default_factory=dict, repr=False)
    """Those of the request that gave it: levels below may use them."""


@dataclass(frozen=True, slots=True)
class SourcePage:
    """One answer."""

    items: Sequence[ListItem]
    following: JSON = None
    """The place of the next page; None: the part has ended."""
    total: int | None = None
    missing: Sequence[str] = ()
    """Ids that were asked for, and that the source does not give."""
    left_out: int = 0
    """How many items of the answer the map's expression leaves out."""
    lack: str = ""
    """The reason of the gap, if the source says that it has cut the list, or refuses it; empty: it says neither."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """Wanted items, without those that came before."""

    items: Sequence[ListItem]
    place: Place
    """The place of the page itself."""
    after: Place | None
    """The place of the next page; None: the list has ended."""
    missing: Sequence[str] = ()
    keys: Sequence[str] = ()
    """Of all items behind the place, also of those that are not wanted."""
    wanted: Collection[str] = ()
    """Those of the subject that no earlier page of the part has."""
    total: int | None = None

    def place_at(self, item: ListItem) -> Place:
        """Return the place of an item of this page, for reading what belongs to it."""
        behind = _behind_place(self.keys[: self.keys.index(item.key) + 1], self.place)
        return self.place.after(behind, self.place.page, self.total, _among(behind, self.wanted))


Fetch: TypeAlias = Callable[[ListPart, JSON], SourcePage]
"""Reads the page of a part at a place. Raises PlaceExpired, SourceUnavailable, SourceRefused."""


class ListShrank(Exception):
    """Records were deleted while the list was read: those behind them have moved to pages that were read already."""


class Listing:
    """The parts of a list, in their order."""

    def __init__(
        self,
        parts: Sequence[ListPart],
        fetch: Fetch,
        what: str,
        pages_most: int,
        on_lack: Callable[[str, ListPart], None] = lambda _reason, _part: None,
    ) -> None:
        """Prepare reading; `on_lack` is called for each part that lacks something, with the reason of its gap."""
        self._parts = sorted(parts, key=lambda part: order_of(part.id))
        self._fetch = fetch
        self._what = what
        self._pages_most = pages_most
        self._on_lack = on_lack
        self._has_groups = len({part.id[:2] for part in parts}) > 1
        forms = [part.form for part in parts]
        shifts = any(form.window or (form.page and form.page.kind in paging.SHIFTING) for form in forms)
        self._repeats_anywhere = self._has_groups or shifts
        self._may_repeat = self._repeats_anywhere or any(form.page for form in forms)
        self._noted: dict[str, None] = {}
        self._remembers = False
        """Whether all keys of the current part that were given are known; else only their sum is."""

    def pages(self, start: Place | None = None, *, enters: bool = False) -> Iterator[ListPage]:
        """Yield the pages from a place on; `enters`: the last item before the place is given again.

        Raises: SourceUnavailable, SourceRefused.
        """
        # What an earlier part lacks was reported when it was read first.
        self._noted = {part.id[2]: None for part in self._parts} if start else {}
        seen = self._keys_before(start)
        self._noted = dict.fromkeys(start.noted) if start else {}
        left = [part for part in self._parts if not start or order_of(part.id) >= order_of(start.part)]
        for number, part in enumerate(left):
            is_begun = start is not None and start.part == part.id
            at = start if is_begun and start is not None else Place(part.id)
            following = left[number + 1].id if number + 1 < len(left) else None
            for page in self._read(part, at, seen, enters=enters and is_begun):
                items = self._new(page.items, seen)
                behind = following and Place(following, noted=page.place.noted)
                yield replace(page, items=items, after=page.after or behind)

    def _keys_before(self, start: Place | None) -> dict[str, None]:
        """Return the keys of the items before a place, which a later part may give again."""
        seen: dict[str, None] = {}
        if start is None or not self._has_groups:
            return seen
        for part in self._parts:
            if order_of(part.id)[:3] > order_of(start.part)[:3]:
                break
            items = [item for page in self._read(part, Place(part.id), {}, enters=False) for item in page.items]
            if part.id == start.part:
                left = _behind(items, start.kept, enters=False)
                items = items[: len(items) - len(left) if len(left) < len(items) else start.given]
            self._new(items, seen)
        return seen

    def _new(self, items: Sequence[ListItem], seen: dict[str, None]) -> list[ListItem]:
        """Return the wanted items that no earlier page has, and remember their keys.

        Two of one answer with the same key are two records: the key of the map is not unique.
        """
        wanted = [item for item in items if item.is_wanted]
        if not self._may_repeat:
            return wanted
        new = [item for item in wanted if item.key not in seen]
        for item in new:
            if len(seen) >= KEYS_MOST:
                if self._repeats_anywhere:
                    raise SourceRefused(f"{self._what}: more than {KEYS_MOST} records in a list that may repeat them")
                del seen[next(iter(seen))]  # pages that follow each other repeat few records
                self._remembers = False
            seen[item.key] = None
        return new

    def _read(self, part: ListPart, at: Place, seen: dict[str, None], *, enters: bool) -> Iterator[ListPage]:
        """Yield the pages of a part; if a place has expired, from the beginning, without what came before it.

        A number of a page is a place only as long as no record moves: reading continues behind the last record.
        """
        self._remembers = self._may_repeat and not at.given
        reached, pages = at, self._pages(part, at, enters=enters)
        if at.given and paging.moves(part.form.page, at.page, at.counted):
            pages = self._again(part, at, seen, enters=enters)
        last: PlaceExpired | ListShrank | None = None
        for _ in range(RESTARTS):
            try:
                for page in pages:
                    yield page
                    reached, enters = page.after or reached, False
            except (PlaceExpired, ListShrank) as error:
                pages, last = self._again(part, reached, seen, enters=enters), error
            else:
                return
        if isinstance(last, PlaceExpired):
            hint = "check `page` of the map: another value may be the place, or the source gives fewer items (`most`)"
            raise SourceRefused(f"{last}, also after the list was begun again {RESTARTS - 1} times", hint=hint)
        raise SourceUnavailable(f"{self._what}: the list changes faster than it can be read")

    def _again(self, part: ListPart, reached: Place, seen: dict[str, None], *, enters: bool) -> Iterator[ListPage]:
        """Yield what is behind the last item that is still in the list. Raises SourceRefused if no item is."""
        given = list(map(ListItem, reached.kept[: -1 if enters else None]))
        for key in reversed(reached.kept):
            pages = self._pages(part, Place(part.id), enters=False)
            passed: list[ListItem] = []
            for page in pages:
                if key in {item.key for item in page.items}:
                    is_current = enters and key == reached.kept[-1]
                    behind = _behind(page.items, (key,), enters=False)
                    passed += page.items[: len(page.items) - len(behind)]
                    lack = CHANGED if self._has_passed_new(passed, reached, seen) else ""
                    place, after = self._with_lack(part, lack, page.place, page.after or page.place)
                    self._remember([*passed[: len(passed) - is_current], *given], seen)
                    items = _behind(page.items, (key,), enters=is_current)
                    yield replace(page, items=items, place=place, after=page.after and after)
                    yield from pages
                    return
                passed += [ListItem(item.key, is_wanted=item.is_wanted) for item in page.items]
        if reached.given > len(reached.kept):
            raise SourceRefused(
                f"{self._what}: the place of the last page has expired, and the records before it are gone",
                hint="repeat the export",
            )
        self._remember(given, seen)
        yield from self._pages(part, Place(part.id), enters=False)

    def _has_passed_new(self, passed: Sequence[ListItem], reached: Place, seen: Collection[str]) -> bool:
        """Return whether wanted items before a place were not given: they have moved there."""
        wanted = {item.key for item in passed if item.is_wanted}
        if self._remembers:
            return not wanted <= {*seen}
        return not reached.is_behind(wanted, {item.key for item in passed})

    def _remember(self, passed: Sequence[ListItem], seen: dict[str, None]) -> None:
        """Note that items were given before this reading began."""
        if not self._remembers:
            self._new(passed, seen)
            self._remembers = self._may_repeat

    def _has_moved(self, part: ListPart, places: Sequence[JSON], known: Collection[str]) -> bool:
        """Return whether numbered pages, read again until they stay the same, have a wanted record that was on none.

        Nothing else shows that it has moved: a list with one record less and one more has the same size. Links and
        tokens that count may belong to a list that is too long for it: then it is not known.
        """
        before = {*known}
        for _ in range(RESTARTS):
            try:
                items = [item for place in places for item in self._fetch(part, place).items]
            except SourceUnavailable:
                if paging.shifts(part.form.page):
                    raise
                break
            found = {item.key for item in items if item.is_wanted}
            if found == before or not found <= {*known}:
                return found != before
            before = found
        return True

    def _pages(self, part: ListPart, at: Place, *, enters: bool) -> Iterator[ListPage]:
        place, total = at, at.total
        is_watched = paging.shifts(part.form.page)
        places: list[JSON] = []
        known: set[str] = set()
        read: set[JSON] = {at.page} if isinstance(at.page, str | int) else set()
        for _ in range(self._pages_most):
            found = self._fetch(part, place.page)
            if None not in (total, found.total) and found.total < total:  # type: ignore[operator]  # both are numbers
                raise ListShrank
            total = found.total or total
            if found.following is not None and found.following in read:
                hint = "check `page` of the map; a token that stays the same (scroll) needs a hook"
                raise SourceRefused(f"{self._what}: the next page is a page that was read already", hint=hint)
            read.add(found.following)
            items = _behind(found.items, place.kept, enters=enters) if place is at else found.items
            keys = [item.key for item in items]
            new = _behind_place(keys, place) if enters and place is at else keys
            wanted = {item.key for item in items if item.is_wanted} - known
            after = place.after(new, found.following, total, _among(new, wanted), found.left_out)
            is_full = _is_full(part.form.page, after)
            is_last = is_full or found.following is None
            is_short = is_full or (is_last and after.counted < (total or 0))
            lack = found.lack or (INCOMPLETE_LIST if is_short else "")
            is_watched |= place is at and paging.counts(part.form.page, found.following, after.counted)
            if is_watched:
                known |= wanted
                # Before the last page is given: a reading that continues behind it reads no page again.
                places.append(place.page)
                is_changed = is_last and len(places) > 1 and self._has_moved(part, places, known)
                lack = lack or (CHANGED if is_changed else "")
            place, after = self._with_lack(part, lack, place, after)
            yield ListPage(items, place, None if is_last else after, found.missing, keys, wanted, total)
            if is_last:
                return
            place = after
        raise SourceRefused(f"{self._what}: the list has more than {self._pages_most} pages")

    def _with_lack(self, part: ListPart, lack: str, *places: Place) -> tuple[Place, ...]:
        """Report what a part lacks, unless the list was reported; returns places that know it."""
        window = part.id[2]
        if lack and window not in self._noted:
            self._noted[window] = None
            self._on_lack(lack, part)
        return tuple(replace(place, noted=tuple(self._noted)) for place in places)


def _among(keys: Sequence[str], wanted: Collection[str]) -> Iterable[str]:
    """Return the keys that are wanted, each once."""
    return dict.fromkeys(key for key in keys if key in wanted)


def _is_full(page: PageForm | None, after: Place) -> bool:
    """Return whether a list has as many items as its source gives of any list."""
    return page is not None and page.most is not None and after.counted >= page.most


def _behind_place(keys: Sequence[str], place: Place) -> Sequence[str]:
    """Return keys without the first if it is the last before the place: an item that is entered again counts once."""
    return keys[1:] if keys[:1] == list(place.kept[-1:]) else keys


def _behind(items: Sequence[ListItem], kept: Sequence[str], *, enters: bool) -> Sequence[ListItem]:
    """Return the items behind the last of the kept keys that is among them; `enters`: and this item, if it is the last.

    A page contains earlier items again if records were added before it, or if it is the page of a parent.
    """
    keys = [item.key for item in items]
    for key in reversed(kept):
        if key in keys:
            is_current = enters and key == kept[-1]
            return items[keys.index(key) + (not is_current) :]
    return items
