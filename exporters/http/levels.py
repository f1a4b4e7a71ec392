"""The levels of a map: lists that are read by requests, values within an item, and shapes of several records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from exporters.http import matching, paging
from exporters.http.answers import check_named, says
from exporters.http.context import AskedValue, ReadingContext, fitting
from exporters.http.expressions import find, find_all
from exporters.http.forms import HttpDatasetForm, LinksForm, RequestForm
from exporters.http.hooks import Hooks
from exporters.http.listing import INCOMPLETE_LIST, Listing, ListItem, ListPart, SourcePage
from exporters.http.moments import SourceMoments
from exporters.http.records import RecordMaker
from exporters.http.reported import NotGiven
from exporters.http.templates import Names
from exporters.http.walk import WalkContext, named
from exporters.maps import times
from exporters.maps.file_stems import file_stem
from portability.api import JSON, Record
from portability.api.errors import SourceRefused
from portability.api.times import microseconds

_PROPERTY = re.compile(r"\b[A-Za-z_]\w*\.([A-Za-z_]\w*)")
KEY_MARK = "\0"
"""Between the values of a key."""


class RequestLevel:
    """Items that requests give: of a dataset, or links."""

    def __init__(
        self, reading: ReadingContext, form: LinksForm | HttpDatasetForm, maker: RecordMaker | None, hooks: Hooks
    ) -> None:
        self._reading = reading
        self._form = form
        self._maker = maker
        self._hooks = hooks
        self.batch = form.batch

    def listing(self, context: WalkContext) -> Listing:
        """Return the list below a parent, or for the subject's identities."""
        tied = paging.TiedKeys()

        def fetch(part: ListPart, place: JSON) -> SourcePage:
            with fitting(self._form.name):
                if not self._has_begun(part):
                    return SourcePage(())
                page = self._fetch(part, place, context)
                if not self._has_begun(part):  # its own answer is the first that shows the clock
                    return SourcePage(())
                values = [item.value for item in page.items]
                is_short = tied.may_lack(repr(part.id), part.form.page, place, values)
                return replace(page, lack=page.lack or INCOMPLETE_LIST) if is_short else page

        parts = list(self._parts(context))
        on_lack = partial(self._note, context)
        return Listing(parts, fetch, self._form.name, self._reading.source.limits.pages_most, on_lack)

    def check_parents(self, items: Sequence[ListItem]) -> None:
        """Raise SourceRefused if no item above has the list that the map reads within it."""
        if self._form.within is not None:
            with fitting(self._form.name):
                check_named("within", [self._form.within], [item.value for item in items])

    def _note(self, context: WalkContext, reason: str, part: ListPart) -> None:
        """Remember that a list lacks something: that of the export, or of one record of the dataset above."""
        nodes = self._reading.source.nodes
        above = nodes.get(self._form.parent or "")
        while isinstance(above, LinksForm):
            above = nodes.get(above.parent or "")
        owner = (above.name, file_stem([context.record[name] for name in above.key])) if above is not None else ()
        window = (f"since {part.id[2]}",) if part.id[2] else ()
        self._reading.cut_lists.add("/".join((*owner, self._form.name, *window)), reason)

    def below(self, items: Sequence[ListItem], context: WalkContext) -> WalkContext:
        """Return what the next level knows of items."""
        keys = [item.key for item in items]
        if self._maker is None:
            names = {**context.names, **items[0].names, self._form.name: keys[0], "ids": keys}
            return WalkContext(names, context.record, None, keys)
        (record,) = self._maker.made([items[0].value], context.record).records
        names = {**context.names, **items[0].names, **named(record, self._form.name), "ids": keys}
        return WalkContext(names, record, items[0].value)

    def _parts(self, context: WalkContext) -> Iterator[ListPart]:
        requests = self._form.union or (self._form,)
        asked = self._asked()
        tenants = Counter(one.value for one in asked)
        for one in asked:
            names = dict(context.names)
            if self._form.for_each is not None:
                names |= {self._form.for_each: one.value, "tenant": one.tenant}
            if isinstance(self._form, HttpDatasetForm):
                names["fields"] = _properties(self._form)
            # An address of the person at two tenants has two lists.
            at = f"{one.value}{KEY_MARK}{one.tenant}" if one.tenant and tenants[one.value] > 1 else one.value
            for number, request in enumerate(requests):
                yield from self._windows(at, number, request, names)

    def _asked(self) -> Sequence[AskedValue]:
        """Return the values for which the list is read, in each spelling: some sources compare letter by letter."""
        if (kind := self._form.for_each) is None:
            return [AskedValue("")]
        spelled = [
            AskedValue(spelling, one.tenant)
            for one in self._reading.asked(kind)
            for spelling in matching.spellings(kind, one.value)
        ]
        return list(dict.fromkeys(spelled))

    def _windows(self, value: str, number: int, request: RequestForm, names: Names) -> Iterator[ListPart]:
        window = request.window
        if window is None:
            yield ListPart((value, number, ""), request, names)
            return
        zone = self._reading.source.times.zone
        day = date.fromisoformat(window.start)
        while (begin := times.midnight(day, zone)) <= self._moment + timedelta(days=max(1, window.ahead_days)):
            following = day + timedelta(days=window.days)
            end = times.midnight(following, zone)
            bounds = {"since": times.write(begin, window.format, zone), "until": times.write(end, window.format, zone)}
            yield ListPart((value, number, day.isoformat()), request, {**names, **bounds}, (begin, end))
            day = following

    @property
    def _moment(self) -> datetime:
        return self._reading.selection.began_at or datetime.now(UTC)

    def _has_begun(self, part: ListPart) -> bool:
        """Return whether a window has begun by the clock of the source, or may have, because no answer has shown it."""
        clock = self._reading.client.clock
        if not (part.bounds and part.form.window and clock.is_known):
            return True
        ahead = max(clock.ahead, timedelta(days=part.form.window.ahead_days))
        begin: datetime = part.bounds[0]
        return begin <= self._moment + ahead

    def _fetch(self, part: ListPart, place: JSON, context: WalkContext) -> SourcePage:
        if self._form.within is not None:
            values, cut = find_all(self._form.within, context.item), part.form.cut
            # Another item of the page may have the list.
            is_cut = cut is not None and bool(values) and says("cut", cut, context.item)
            return SourcePage(self._items(values, part, context), lack=INCOMPLETE_LIST if is_cut else "")
        if self._hooks.pages is not None:
            return self._hooked(part, paging.first(part.form.page) if place is None else place, context)
        try:
            found = self._reading.read(self._form.name, part, place, is_batch=self.batch is not None)
        except NotGiven:
            return SourcePage((), lack=SourceRefused.code)
        items = self._items(found.items, part, context)
        missing = () if part.form.page else self._missing(items, context)  # a later page may give them
        lack = INCOMPLETE_LIST if found.is_cut else ""
        return SourcePage(items, found.following, found.total, missing, found.left_out, lack)

    def _missing(self, items: Sequence[ListItem], context: WalkContext) -> Sequence[str]:
        """Return the names of the records that were asked for by their ids and that no item is."""
        keys = [item.key.split(KEY_MARK) for item in items]
        return self._maker.missing(context.asked, keys, context.record) if self._maker else ()

    def _hooked(self, part: ListPart, place: JSON, context: WalkContext) -> SourcePage:
        assert self._hooks.pages is not None  # noqa: S101  # for the type checker: the caller has looked
        names = {**self._reading.names, **part.names}
        pages = self._hooks.pages(self._reading.ask, names, place)  # type: ignore[arg-type]  # a place of this hook
        page = next(pages, None)
        if page is None:
            return SourcePage(())
        return SourcePage(self._items([dict(item) for item in page.items], part, context), page.after)

    def _items(self, values: Sequence[Any], part: ListPart, context: WalkContext) -> list[ListItem]:
        if self._maker is None:
            keys = [self._link_id(value) for value in values]
        else:
            values = self._maker.prepared(values, context.record)
            keys = list(map(KEY_MARK.join, self._maker.keys(values, context.record)))
        if len(set(keys)) < len(keys):
            keys, values = _once(keys, values, is_record=self._maker is not None)
        wanted = self._wanted(values, part, context)
        pairs = enumerate(zip(keys, values, strict=True))
        return [ListItem(key, value, number in wanted, part.names) for number, (key, value) in pairs]

    def _link_id(self, value: Any) -> str:  # noqa: ANN401  # any JSON value
        key = find(self._form.gives, value) if isinstance(self._form, LinksForm) else None
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise SourceRefused(f"{self._form.name}: a link has no id")
        return str(key)

    def _wanted(self, values: Sequence[Any], part: ListPart, context: WalkContext) -> frozenset[int]:
        """Return the numbers of the values that are the subject's, and fit all conditions of the map."""
        wanted: Sequence[int] = range(len(values))
        for choose in (self._verified, self._asked_for, self._kept, self._within, self._existed):
            chosen = choose(values, part, context)
            if len(chosen) < len(values):
                wanted, values = [wanted[number] for number in chosen], [values[number] for number in chosen]
        return frozenset(wanted)

    def _verified(self, values: Sequence[Any], part: ListPart, _context: WalkContext) -> Sequence[int]:
        check_named("verify", self._form.verify, values)
        return matching.verified(self._form.verify, part.names, values)

    def _asked_for(self, values: Sequence[Any], _part: ListPart, context: WalkContext) -> Sequence[int]:
        """Return the values whose ids a batch has asked for: a source may ignore them, and give those of all people."""
        if self._form.verify or self._hooks.pages or not (self._maker and self.batch):
            return range(len(values))
        return self._maker.asked_for(values, context.asked, context.record)

    def _kept(self, values: Sequence[Any], _part: ListPart, context: WalkContext) -> Sequence[int]:
        # A name that is missing everywhere is that of no item: only `empty = true` keeps such items.
        check_named("keep", (one.at for one in self._form.keep if one.empty is not True), values)
        return matching.kept(self._form.keep, values, context.record)

    def _within(self, values: Sequence[Any], part: ListPart, _context: WalkContext) -> Sequence[int]:
        if part.bounds is None or part.form.window is None:
            return range(len(values))
        moments, (begin, end) = SourceMoments(self._reading.source.times), part.bounds
        found = [moments.read(find(part.form.window.at, value)) for value in values]
        if not all(found):
            raise ValueError("the time of a window is not set")  # the item would be in none
        return [number for number, at in enumerate(found) if at and begin <= at < end]

    def _existed(self, values: Sequence[Any], _part: ListPart, context: WalkContext) -> Sequence[int]:
        """Return the values that existed when the export began, by the clock of the source if it is ahead.

        Those with a time in the future are exported, too.
        """
        began_at = self._reading.selection.began_at
        if self._maker and began_at:
            begin, now = microseconds(began_at + self._reading.client.clock.ahead), microseconds(datetime.now(UTC))
            created = self._maker.created(values, context.record)
            return [number for number, at in enumerate(created) if not (at and begin < at <= now)]
        return range(len(values))


class EachLevel:
    """Values within the item of a parent, such as the ids of its messages. Nothing is requested."""

    batch = None

    def __init__(self, name: str, each: str) -> None:
        self._name = name
        self._each = each

    def listing(self, context: WalkContext) -> Listing:
        """Return the list of values, in the order of their numbers."""
        try:
            found = find_all(self._each, context.item)
        except ValueError as error:
            raise SourceRefused(f"{self._name}: an item has another form than the map says: {error}") from None
        stated = [one for one in found if one is not None]
        if any(isinstance(one, bool) or not isinstance(one, str | int) for one in stated):
            raise SourceRefused(f"{self._name}: a value of `each` is neither text nor integer")
        values = sorted(set(map(str, stated)), key=lambda one: (len(one), one))
        items = [ListItem(value, value) for value in values]
        part = ListPart(("", 0, ""), RequestForm(), {})
        return Listing([part], lambda _part, _place: SourcePage(items), self._name, 1)

    def check_parents(self, items: Sequence[ListItem]) -> None:
        """Raise SourceRefused if no item above has the values."""
        with fitting(self._name):
            check_named("each", [self._each], [item.value for item in items])

    def below(self, items: Sequence[ListItem], context: WalkContext) -> WalkContext:
        """Return what the request of these values knows."""
        keys = [item.key for item in items]
        return WalkContext({**context.names, "each": keys[0], "ids": keys}, context.record, context.item, keys)


class ShapeLevel:
    """One item of each parent, made by the hook `shape` of the parent's record and the records of its parts."""

    batch = None

    def __init__(
        self, maker: RecordMaker, hooks: Hooks, parts: Callable[[WalkContext], Mapping[str, Sequence[Record]]]
    ) -> None:
        self._maker = maker
        self._hooks = hooks
        self._parts = parts

    def listing(self, context: WalkContext) -> Listing:
        """Return the list with the only item of a parent."""

        def fetch(_part: ListPart, _place: JSON) -> SourcePage:
            assert self._hooks.shape is not None  # noqa: S101  # for the type checker: the map was checked
            item = dict(self._hooks.shape(context.record, self._parts(context)))
            (key,) = self._maker.keys([item], context.record)
            return SourcePage([ListItem(KEY_MARK.join(key), item)])

        return Listing([ListPart(("", 0, ""), RequestForm(), {})], fetch, self._maker.form.name, 1)

    def check_parents(self, items: Sequence[ListItem]) -> None:
        """Take all items: a shape is made of records."""

    def below(self, items: Sequence[ListItem], context: WalkContext) -> WalkContext:
        """Return the same: a shape has nothing below it."""
        del items
        return context


def _once(keys: Sequence[str], values: Sequence[Any], *, is_record: bool) -> tuple[list[str], list[Any]]:
    """Return keys and items without those that an answer repeats; records of one key that differ stay all of them."""
    texts = map(repr, values) if is_record else [""] * len(keys)
    once = dict(zip(zip(keys, texts, strict=True), zip(keys, values, strict=True), strict=True)).values()
    return [key for key, _value in once], [value for _key, value in once]


def _properties(form: HttpDatasetForm) -> list[str]:
    """Return the names that `{fields}` asks for: the second name of each pair such as `properties.email`."""
    paths = [one.at or name for name, one in form.fields.items()]
    paths += [one.at or name for name, one in form.withheld.items()]
    return list(dict.fromkeys(name for path in paths for name in _PROPERTY.findall(path)))
