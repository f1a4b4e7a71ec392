"""Signs in an answer that its list goes on, where the map reads no further page: its rest would be lost without a word.

A map without `page`, or with a wrong name in it, reads the first page of each list. A person for tests has no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporters.http.client import HttpPage
from exporters.http.expressions import find, is_path, leading
from exporters.http.forms import RequestForm
from exporters.http.links import linked
from exporters.http.truth import says_yes
from portability.api import JSON
from portability.api.errors import SourceRefused

ITSELF = "@"
MARKS = frozenset(
    {
        *("next", "nextpage", "nextpageuri", "nextpageurl", "nextpagelink", "nextpagetoken", "nexttoken", "nexturl"),
        *("nextcursor", "nextrecordsurl", "nextlink", "odatanextlink", "nextstart", "nextoffset"),
        *("hasmore", "hasnext", "hasnextpage", "morerecords", "moreitemsincollection"),
    }
)
"""Names, by their letters in lower case, whose values say that more follows."""
LASTS = frozenset({"endofstream", "islast", "islastpage"})
"""Names whose value false says so."""
TOTALS = frozenset(
    {"total", "count", "totalcount", "totalitems", "totalsize", "totalelements", "totalresults", "totalrecords"}
)
"""Names of the size of the whole list: more than its items in the only answer."""
PAGES = frozenset({"totalpages", "pages", "pagecount", "lastpage"})
"""Names of the number of pages."""
HOLDERS = frozenset(
    {
        *("meta", "metadata", "links", "paging", "pages", "pagination", "page", "pageinfo", "info"),
        *("responsemetadata", "additionaldata"),
    }
)
"""Names of the objects beside a list that have such values."""


def check_whole(form: RequestForm, page: HttpPage, items: Sequence[Any], what: str, *, is_batch: bool = False) -> None:
    """Raise SourceRefused if an answer after which nothing more is read says that more follows.

    What the map says of the end with `more` or `until_empty` is believed: some sources name a next page for ever.
    """
    if form.page and (form.page.more or (form.page.until_empty and not items)):
        return
    hint = "lower `batch` in the map" if is_batch else "declare `page` in the map"
    if form.page:
        hint = "check `page` of the map: it found no next page"
    if mark := "Link" if linked(page) else next(_marks(form, page.value, items), ""):
        raise SourceRefused(f"{what}: the answer says that more follows ({mark})", hint=hint)


def _marks(form: RequestForm, answer: JSON, items: Sequence[Any]) -> Iterator[str]:
    """Yield the names that say so, in the objects around the list. An answer that is the item itself has none."""
    if form.items == ITSELF:
        return
    # The totals of a list with pages are those of all pages, and a filter leaves items out.
    is_whole = not form.page and is_path(form.items) and isinstance(find(form.items, answer), list)
    count = len(items) if is_whole else None
    holder = answer
    yield from _marks_in(holder, 2, count)
    for name in leading(form.items)[:-1]:
        holder = holder.get(name) if isinstance(holder, Mapping) else None
        yield from _marks_in(holder, 2, count)


def _marks_in(holder: Any, depth: int, count: int | None) -> Iterator[str]:  # noqa: ANN401  # any JSON value
    for name, value in holder.items() if isinstance(holder, Mapping) else ():
        letters = re.sub(r"[^a-z]", "", name.lower())
        if _says_more(letters, value) or (count is not None and _is_more(letters, value, count)):
            yield re.sub(r"[^A-Za-z@._-]", "", name)  # the answer's own word, and nothing beside it
        elif letters in HOLDERS and depth:
            yield from _marks_in(value, depth - 1, count)


def _says_more(letters: str, value: Any) -> bool:  # noqa: ANN401  # as above
    return (letters in MARKS and _is_set(value)) or (letters in LASTS and value is False)


def _is_more(letters: str, value: Any, count: int) -> bool:  # noqa: ANN401  # as above
    """Return whether a name and its value state more items, or more pages, than the only answer has."""
    limits = {**dict.fromkeys(TOTALS, count), **dict.fromkeys(PAGES, 1)}
    return letters in limits and type(value) is int and value > limits[letters]


def _is_set(value: Any) -> bool:  # noqa: ANN401  # as above
    """Return whether a value says yes; of an object or a list, one of its values: `{"href": null}` does not."""
    inner = value.values() if isinstance(value, Mapping) else value
    return any(map(says_yes, inner)) if isinstance(value, Mapping | list) else says_yes(value)
