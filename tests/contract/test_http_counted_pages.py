"""Links and tokens that count pages or items: they move like numbers, and a record that moved is a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
from http_sources import Asked, StandIn, batches_of, open_source, person, stand_in

from exporters.http import batches
from exporters.http.exporter import HttpExporter
from portability.api import Gap, Selection

CALLS = """
title = "Calls"
role = "controller"
kinds = ["user", "email"]
[[dataset]]
name = "calls"
title = "Calls"
description = "Your calls."
provenance = "provided"
for_each = "email"
get = "/calls"
params = { after = "{after}" }
items = "calls"
verify = { "owner" = "email" }
page = { PAGE }
fields.id = { text = "Identifier." }
"""
CURSOR = 'kind = "cursor", next = "next"'
LINK = 'kind = "link", next = "next"'
HEAD = 'kind = "link", header = true'
MOVED = (Gap("calls", "changed"),)
COUNTED = {
    "page": (LINK, lambda number: f"/calls?page={number}&per_page=2"),
    "page in the header": (HEAD, lambda number: f"/calls?page={number}"),
    "page of JSON:API": (LINK, lambda number: f"/calls?page%5Bnumber%5D={number}&page%5Bsize%5D=2"),
    "offset": (LINK, lambda number: f"/calls?startAt={2 * number - 2}"),
    "number as token": (CURSOR, lambda number: number),
    "offset as token": (CURSOR, lambda number: 2 * number - 2),
    "offset as text": (CURSOR, lambda number: str(2 * number - 2)),
}
ANCHORED = {
    "token": (LINK, lambda number: f"/calls?Page={number}&PageToken=PA{number}"),
    "text": (CURSOR, lambda number: f"c{number}"),
    "id": (CURSOR, lambda number: 1000 * number),
}


@dataclass
class CountedCalls:
    """A list of six calls in pages of two, with a change behind the first answer."""

    place: Callable[[int], Any]
    rows: list[str] = field(default_factory=lambda: [*"abcdef"])
    change: Callable[[list[str]], None] = lambda rows: rows.remove("a")
    reads: int = 0

    def answer(self, asked: Asked) -> Any:
        sought = "&".join(asked.query.values())
        places = {"&".join(map(str, self._values(number))): number for number in range(2, 9)}
        number = places.get(sought, 1)
        found = self.rows[2 * number - 2 : 2 * number]
        following = self.place(number + 1) if len(self.rows) > 2 * number else None
        self.reads += 1
        if self.reads == 1:
            self.change(self.rows)
        calls = {"calls": [{"id": row, "owner": "ann@example.test"} for row in found]}
        return calls, following

    def _values(self, number: int) -> list[Any]:
        place = self.place(number)
        return [pair.partition("=")[2] for pair in place.partition("?")[2].split("&")] if "?" in str(place) else [place]


@pytest.fixture
def vendor_calls() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def serve_calls(server: StandIn, page: str, calls: CountedCalls) -> HttpExporter:
    """The exporter of the calls."""

    def answer(asked: Asked) -> Any:
        found, following = calls.answer(asked)
        if "header" not in page:
            return {**found, "next": following}
        head = {"Link": f'<{following}>; rel="next"'} if following else {}
        return 200, head, found

    server.on("/calls")(answer)
    return open_source(CALLS.replace("PAGE", page), server.url)


def read_calls(server: StandIn, page: str, calls: CountedCalls) -> tuple[list[Any], tuple[Gap, ...]]:
    """The calls and the gaps."""
    read = batches_of(serve_calls(server, page, calls), "calls", person())
    return [one["id"] for batch in read for one in batch.records], tuple(gap for one in read for gap in one.gaps)


@pytest.mark.parametrize("case", COUNTED)
def test_a_record_that_moves_between_counted_pages_is_a_gap(vendor_calls: StandIn, case: str) -> None:
    """A call is deleted while the list is read: the one behind the first page moves to it, and no page has it."""
    page, place = COUNTED[case]

    assert read_calls(vendor_calls, page, CountedCalls(place)) == (["a", "b", "d", "e", "f"], MOVED)


@pytest.mark.parametrize("case", COUNTED)
def test_counted_pages_that_stay_are_whole(vendor_calls: StandIn, case: str) -> None:
    """They are read twice, and give each record once."""
    page, place = COUNTED[case]
    calls = CountedCalls(place, change=lambda _rows: None)

    assert read_calls(vendor_calls, page, calls) == ([*"abcdef"], ())
    assert calls.reads == 6


@pytest.mark.parametrize("case", ANCHORED)
def test_a_token_that_stays_at_its_record_is_read_once(vendor_calls: StandIn, case: str) -> None:
    """It names a record, and counts nothing."""
    page, place = ANCHORED[case]
    calls = CountedCalls(place, change=lambda _rows: None)

    assert read_calls(vendor_calls, page, calls) == ([*"abcdef"], ())
    assert calls.reads == 3


def test_counted_pages_that_cannot_be_read_again_are_a_gap(vendor_calls: StandIn) -> None:
    """The source is away behind the last page: what was read is given, and whether a record has moved is not known."""
    page, place = COUNTED["page"]
    calls = CountedCalls(place, change=lambda _rows: None)
    vendor_calls.before = lambda _asked: (500, {}, b"") if calls.reads == 3 else None

    assert read_calls(vendor_calls, page, calls) == ([*"abcdef"], MOVED)


@pytest.mark.parametrize("case", COUNTED)
def test_a_reading_of_counted_pages_continues_behind_its_last_record(
    vendor_calls: StandIn, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies, and a record that was given is deleted: those behind it have moved to pages that were read."""
    monkeypatch.setattr(batches, "BATCH_RECORDS", 1)
    page, place = COUNTED[case]
    rows: list[str] = []
    exporter = serve_calls(vendor_calls, page, CountedCalls(place, rows, change=lambda _rows: None))
    (dataset,) = exporter.datasets
    for count in (1, 2, 3, 4):
        rows[:] = "abcdefghijkl"
        with closing(exporter.export(person(), dataset, Selection())) as reading:
            read = list(islice(reading, count))
        rows.remove("a")
        rest = batches_of(exporter, "calls", person(), after=read[-1].cursor)
        given = [record["id"] for batch in [*read, *rest] for record in batch.records]
        assert given == [*"abcdefghijkl"], count
