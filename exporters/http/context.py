"""What all levels of one reading share: the client, the subject's identities, and how a request of the map is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from exporters.http import endings, paging, templates
from exporters.http.answers import items_at, lacks_data, says
from exporters.http.client import HttpCall, PlaceExpired, SourceClient
from exporters.http.forms import HttpSourceForm, RequestForm
from exporters.http.guard import UrlGuard
from exporters.http.hooks import Ask
from exporters.http.listing import ListPart
from exporters.http.projections import listed
from exporters.http.templates import AbsentName, Names, UnsafeValue
from portability.api import JSON, Gap, Rate, Selection
from portability.api.errors import SourceRefused


@dataclass(frozen=True, slots=True)
class AskedValue:
    """A verified identity for which a list is read, and its tenant."""

    value: str = field(repr=False)
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class AnsweredPage:
    """One answer, before its items are compared with what was asked."""

    items: Sequence[Any] = field(repr=False)
    following: JSON = None
    """The place of the next page; None: the list has ended."""
    total: int | None = None
    left_out: int = 0
    """How many items of the answer the map's expression leaves out."""
    is_cut: bool = False
    """Whether the source says that it has cut the list."""


@dataclass
class CutLists:
    """The lists of which the source gives less than there is, or nothing, each once."""

    _known: set[str] = field(default_factory=set)
    _new: list[Gap] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        """Add a list by its name, which has no content of a record."""
        if name not in self._known:
            self._known.add(name)
            self._new.append(Gap(name, reason))

    def take(self) -> Sequence[Gap]:
        """Return the gaps of what was added since the last call."""
        found, self._new = self._new, []
        return found


@dataclass(frozen=True, slots=True)
class ReadingContext:
    """What all levels of one reading share."""

    source: HttpSourceForm
    guard: UrlGuard
    client: SourceClient
    buckets: Mapping[str, Rate]
    names: Names
    """Values of the file of sources, by the names of the map."""
    selection: Selection
    asked: Callable[[str], Sequence[AskedValue]]
    """The subject's verified identities of a kind."""
    ask: Ask
    none_on: Sequence[int | str] = ()
    """Statuses that mean "no item", beside those of each request."""
    cut_lists: CutLists = field(default_factory=CutLists)

    def call(
        self, what: str, form: RequestForm, names: Names, link: JSON = None, *, is_place: bool = False
    ) -> HttpCall:
        """Return the call of a request; `link`: the URL of a later page. Raises SourceRefused for an unsafe value."""
        path, method = (form.post, "POST") if form.post is not None else (form.get or "", "GET")
        filled = {**self.names, **names}
        try:
            url = self.guard.own(templates.fill_path(path, filled))
            params = templates.fill_params(form.params, filled)
            body = templates.fill_body(form.body, filled) if isinstance(form.body, dict) else None
        except AbsentName as error:
            raise SourceRefused(f"{what}: there is no value for {{{error}}} of the path") from None
        except UnsafeValue as error:
            raise SourceRefused(f"{what}: a value cannot be asked for: {error}") from None
        if link is not None:
            url, params = self.guard.link(link, url.url, what), {}
        rates = (self.buckets[form.bucket],) if form.bucket else ()
        repeatable = method == "GET" or form.reads
        headers = form.headers
        # A page that the source itself has named exists: such a status says that its token has expired.
        none_on = () if is_place else (*form.none_on, *self.none_on)
        return HttpCall(
            *(what, url, method, params, body, headers, rates, repeatable, none_on, form.gap_on, is_place),
            is_whole=not form.page,
        )

    def read(self, what: str, part: ListPart, place: JSON, *, is_batch: bool = False) -> AnsweredPage:
        """Return the page of a list at a place; None as the place: the first.

        Raises: SourceUnavailable, SourceRefused, PlaceExpired; ValueError for an answer of another form.
        """
        form, is_first = part.form, place is None
        page, kind = form.page, form.page.kind if form.page else ""
        place = paging.first(page) if is_first else place
        is_link, is_token = (kind == "link" and not is_first), (kind in paging.TOKENS and not is_first)
        names = part.names if is_link or place is None else {**part.names, paging.AFTER: place}
        call = self.call(what, form, names, place if is_link else None, is_place=is_token)
        found = self.client.json(call)
        if not found:
            if page and page.more and not (is_first or page.until_empty):
                raise PlaceExpired(f"{what}: the source has announced a page, and answers that it is not there")
            return AnsweredPage(())
        items = items_at(form.items, found.value)
        count = listed(form.items, found.value, items)
        following = paging.following(page, place, found, items, what, count=count)
        if kind == "link":
            following = self.client.place_of(following)
        if following is None:
            endings.check_whole(form, found, items, what, is_batch=is_batch)
        is_cut = lacks_data(found.value) or bool(form.cut and says("cut", form.cut, found.value))
        return AnsweredPage(items, following, paging.size(page, found.value), count - len(items), is_cut)


@contextmanager
def fitting(what: str) -> Iterator[None]:
    """Read answers within the block. Raises SourceRefused for one of another form than the map says."""
    try:
        yield
    except (ValueError, ArithmeticError) as error:
        raise SourceRefused(f"{what}: an answer has another form than the map says: {error}") from None
