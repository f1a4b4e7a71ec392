"""Lists whose records come, go and move while they are read: each is given once, or the list has a gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.http.client import PlaceExpired
from exporters.http.forms import PageForm, RequestForm
from exporters.http.listing import Listing, ListItem, ListPart, SourcePage
from exporters.http.places import Place, from_cursor, to_cursor
from portability.api import JSON
from portability.api.errors import SourceRefused, SourceUnavailable

SIZE = 2
NOTHING: Callable[[], None] = lambda: None  # noqa: E731  # a change that changes nothing
ALL = [*"abcdef"]


@dataclass
class MovingList:
    """A list of a source, with a change behind each answer; it is read in pages by number or by tokens."""

    rows: list[str] = field(default_factory=ALL.copy)
    changes: list[Callable[[], None]] = field(default_factory=list)
    kind: str = "number"
    states_total: bool = False
    expired: set[str] = field(default_factory=set)
    reads: int = 0

    def fetch(self, _part: ListPart, place: JSON) -> SourcePage:
        """Answer a page, and change the list."""
        if place in self.expired:
            raise PlaceExpired("the token has expired")
        at = int(str(place or 1).rpartition("-")[2])
        found = self.rows[SIZE * (at - 1) : SIZE * at]
        has_more = len(self.rows) > SIZE * at
        total = len(self.rows) if self.states_total else None
        self.reads += 1
        if self.changes:
            self.changes.pop(0)()
        following: JSON = at + 1 if self.kind == "number" else f"{self.reads}-{at + 1}"
        return SourcePage([ListItem(row, row) for row in found], following if has_more else None, total)

    def listing(self, lacks: list[str]) -> Listing:
        """Return how the product reads it."""
        form = {"kind": "number", "until_empty": True} if self.kind == "number" else {"kind": "cursor", "next": "next"}
        total = {"total": "total"} if self.states_total else {}
        part = ListPart(("", 0, ""), RequestForm(get="/x", page=PageForm.model_validate(form | total)), {})
        return Listing([part], self.fetch, "x", 1000, lambda reason, _part: lacks.append(reason))

    def read(self, killed_behind: int = 0, pause: Callable[[], None] = NOTHING) -> tuple[list[str], list[str]]:
        """Return the records and gaps of a reading that is killed behind some pages, and goes on after a pause."""
        lacks: list[str] = []
        taken: list[str] = []
        place: Place | None = None
        if killed_behind:
            pages = self.listing(lacks).pages()
            for page in (next(pages) for _ in range(killed_behind)):
                taken += [item.key for item in page.items]
                place = page.after
            assert place
            (place,) = from_cursor(to_cursor((place,)), "x")
            pause()
        taken += chain.from_iterable([item.key for item in page.items] for page in self.listing(lacks).pages(place))
        return taken, lacks


def test_a_record_deleted_and_one_added_hide_none_behind_an_unchanged_total() -> None:
    """The size of the list stays the same, and a record has moved to a page that was read."""
    moving = MovingList(states_total=True)
    moving.changes = [lambda: (moving.rows.remove("a"), moving.rows.append("g"))[0]]  # type: ignore[func-returns-value]

    assert moving.read() == (["a", "b", "d", "e", "f", "g"], ["changed"])


@pytest.mark.parametrize("states_total", [True, False])
def test_a_record_that_is_deleted_while_no_worker_reads_hides_none(*, states_total: bool) -> None:
    """Those behind it have moved; reading continues behind the record, and not at the page."""
    moving = MovingList(states_total=states_total)

    taken, _lacks = moving.read(2, lambda: moving.rows.remove("a"))

    assert taken == ALL


@pytest.mark.parametrize("states_total", [True, False])
def test_what_was_hidden_before_a_worker_died_is_a_gap(*, states_total: bool) -> None:
    """A record moved to a page that was read, and the worker that would have seen it at the end is dead."""
    moving = MovingList(states_total=states_total)
    moving.changes = [lambda: (moving.rows.remove("a"), moving.rows.append("g"))[0]]  # type: ignore[func-returns-value]

    assert moving.read(2) == (["a", "b", "d", "e", "f", "g"], ["changed"])


def test_records_that_came_while_no_worker_read_bring_none_again() -> None:
    """More records than a page has were added at the beginning."""
    moving = MovingList()

    taken, lacks = moving.read(2, lambda: moving.rows.__setitem__(slice(0, 0), ["1", "2", "3", "4", "5"]))

    assert [taken, lacks] == [ALL, ["changed"]]


@pytest.mark.parametrize("killed", [True, False])
def test_a_record_that_moves_behind_others_hides_none_when_a_token_expires(*, killed: bool) -> None:
    """The last record that was given is now at the end: a list by the time of the last change."""
    moving = MovingList(kind="cursor")

    def move() -> None:
        moving.rows[:] = ["a", "c", "d", "e", "f", "b"]
        moving.expired |= {"1-2"}

    moving.changes = [NOTHING if killed else move]
    taken, lacks = moving.read(1, move) if killed else moving.read()

    assert taken[:2] == ["a", "b"]
    assert lacks == ["changed"]


@pytest.mark.parametrize("gone", ["b", "ab"])
def test_the_last_records_may_be_deleted_before_a_token_expires(gone: str) -> None:
    """They were given: nothing is missing."""
    moving = MovingList(kind="cursor")

    def change() -> None:
        moving.rows[:] = [row for row in moving.rows if row not in gone]
        moving.expired |= {"1-2"}

    assert moving.read(1, change) == (ALL, [])


@pytest.mark.parametrize("states_total", [True, False])
def test_a_record_whose_parts_were_begun_is_entered_again_where_it_has_moved(*, states_total: bool) -> None:
    """It is on an earlier page now: the rest of its parts is not lost, and the records before it come once."""
    moving = MovingList(states_total=states_total)
    pages = moving.listing([]).pages()
    _first, second = next(pages), next(pages)
    (place,) = from_cursor(to_cursor((second.place_at(second.items[0]),)), "x")
    assert place
    moving.rows.remove("b")

    entered = [item.key for page in moving.listing([]).pages(place, enters=True) for item in page.items]

    assert entered == [*"cdef"]


STEPS = st.sampled_from(["", "", "delete", "first", "last", "other"])


@settings(deadline=None)
@given(st.lists(STEPS, max_size=8), st.integers(0, 3), STEPS, st.booleans(), st.data())
def test_no_record_is_lost_or_doubled_without_a_gap(
    steps: list[str], killed_behind: int, pause: str, states_total: bool, data: st.DataObject
) -> None:
    """Whatever is deleted or added between two answers, in lists whose order stays: each record once, or a gap."""
    moving = MovingList([*"abcdefghij"], states_total=states_total)
    lasting = set(moving.rows)
    names = iter("0123456789")

    def change(step: str) -> None:
        match step:
            case "delete" if moving.rows:
                gone = moving.rows.pop(data.draw(st.integers(0, len(moving.rows) - 1)))
                lasting.discard(gone)
            case "first":
                moving.rows.insert(0, next(names))
            case "last":
                moving.rows.append(next(names))
            case "other":
                change("delete")
                change("last")

    moving.changes = [lambda step=step: change(step) for step in steps]  # type: ignore[misc]  # a default binds it
    try:
        taken, lacks = moving.read(killed_behind, lambda: change(pause))
    except (SourceRefused, SourceUnavailable):
        return
    assert len(taken) == len(set(taken))
    assert lacks or lasting <= set(taken)
