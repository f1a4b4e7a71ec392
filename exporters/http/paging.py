"""How a list continues: the parameters of a page, and the place of the page after it. Only the map's rule ends a list.

An empty page is not the end, a page size above the limit is cut silently, and totals may be null: so neither the
number of items nor a total says that a list has ended, unless the map does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from exporters.http.answers import check_answer, says
from exporters.http.client import HttpPage
from exporters.http.expressions import find
from exporters.http.forms import PageForm
from exporters.http.guard import absolute
from exporters.http.links import linked
from exporters.maps.numbers import integer, number, short
from portability.api import JSON
from portability.api.errors import SourceRefused

AFTER = "after"
"""The name of the place in templates."""
SHIFTING = frozenset({"number", "offset"})
"""Kinds whose pages move when records are added or deleted."""
COUNTERS = frozenset(
    {"page", "pagenumber", "pageno", "pageindex", "offset", "pageoffset", "start", "startat", "startindex", "skip"}
)
"""Parameters of links, by their letters in lower case, that count pages or items."""
ANCHORS = ("token", "cursor", "after", "before")
"""Parts of the names of parameters that name a record or a reading."""
INTEGER_DIGITS = 19
"""Longer numbers count no items."""
TOKENS = frozenset({"cursor", "link"})
"""Kinds whose places are tokens of the source, which expire."""


def first(form: PageForm | None) -> JSON:
    """Return the place of the first page."""
    if form is None:
        return None
    if form.start is not None:
        return form.start
    return {"number": 1, "offset": 0}.get(form.kind)


def following(
    form: PageForm | None, place: JSON, page: HttpPage, items: Sequence[Any], what: str, *, count: int
) -> JSON:
    """Return the place of the next page; None: the list has ended. `count`: the items of the page, and those left out.

    Raises: SourceRefused, ValueError as `find` does.
    """
    if form is None or (form.until_empty and not count) or (form.more and not says("more", form.more, page.value)):
        return None
    match form.kind:
        case "number":
            return _number(place) + 1
        case "offset":
            return _number(place) + count
        case "key":
            found = find(form.key or "", items[-1]) if items else place
        case "link" if form.header:
            found = linked(page)
        case _:
            found = find(form.next or "", page.value)
    if found in (None, ""):
        if form.more or form.kind == "key":
            hint = "check `page` of the map, or ask the maker of the source"
            raise SourceRefused(f"{what}: more pages follow, and the answer does not name the next", hint=hint)
        return None
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise SourceRefused(f"{what}: the place of the next page is neither text nor integer")
    found = absolute(found, page.url, what) if form.kind == "link" else found
    if found == place:
        hint = "check `page` of the map; a token that stays the same (scroll) needs a hook"
        raise SourceRefused(f"{what}: the next page is the same page again", hint=hint)
    return found


class TiedKeys:
    """Lists in pages by `key` of which several items have one value: those behind the end of a page may be on none."""

    def __init__(self) -> None:
        self._ends: set[tuple[str, JSON]] = set()
        self._lists: set[str] = set()

    def may_lack(self, name: str, form: PageForm | None, place: JSON, items: Sequence[Any]) -> bool:
        """Note a page of a list; return whether items between it and the page before may be missing.

        They are not if its bound is inclusive: then it begins with an item of the same value. Raises as `find` does.
        """
        if not (form and form.kind == "key"):
            return False
        keys = [str(find(form.key or "", item)) for item in items]
        if len({*keys}) < len(keys):
            self._lists.add(name)
        is_tied = bool(keys and name in self._lists) or (name, str(place)) in self._ends
        if len({*keys[-2:]}) < len(keys[-2:]):
            self._ends.add((name, keys[-1]))
        return place is not None and is_tied and str(place) not in keys


def shifts(form: PageForm | None) -> bool:
    """Return whether pages of a list move when records are added or deleted, by the word of the map."""
    return form.kind in SHIFTING if form else False


def counts(form: PageForm | None, second: JSON, given: int) -> bool:
    """Return whether the link or token of a second page counts pages, or items: it moves as a number does.

    `given`: the items before it. A link with a token beside the number stays where it is.
    """
    match form.kind if form else "":
        case "cursor":
            return str(second) in {"1", "2", str(given)}
        case "link":
            query = parse_qsl(urlsplit(str(second)).query)
            names = {re.sub("[^a-z]", "", name.lower()): value for name, value in query}
            is_anchored = any(anchor in name for name in names for anchor in ANCHORS)
            return not is_anchored and any(names.get(name, "").isdecimal() for name in COUNTERS)
    return False


def moves(form: PageForm | None, place: JSON, given: int) -> bool:
    """Return whether a place behind some items may count pages, or items: a reading does not continue there."""
    digits = str(place) if form and form.kind == "cursor" else ""
    may_count = digits.isdecimal() and len(digits) < INTEGER_DIGITS and int(digits) <= given + 1
    return shifts(form) or may_count or counts(form, place, given)


def _number(place: JSON) -> int:
    if not isinstance(place, int):
        raise ValueError("`start` of `page` is not an integer")  # noqa: TRY004  # it becomes a fault of the map
    return place


def size(form: PageForm | None, answer: JSON) -> int | None:
    """Return the size of a list that an answer states; None: it states none. Raises ValueError for another value.

    Without a size it is not seen that the list shrinks, and that records have moved to pages that were read.
    """
    if form is None or form.total is None:
        return None
    check_answer("total", form.total, answer, "for a name that may be missing", "`null`")
    total = find(form.total, answer)
    if total in (None, ""):
        return None
    try:
        found = short(number(total))
        return int(total) if isinstance(total, int) else integer(f"{found:f}".removesuffix(".0"))
    except (TypeError, ValueError):
        raise ValueError("the `total` of `page` is not a number") from None
