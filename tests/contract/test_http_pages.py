"""Pages of lists as interfaces name them: a list ends by the map's rule, and a record that comes again comes once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_sources import Asked, StandIn, ids_of, open_source, person, records_of, stand_in

from portability.api.errors import SourceRefused

MAIL = """
title = "Mail"
role = "controller"
kinds = ["user", "email"]
[[dataset]]
name = "mails"
title = "Mails"
description = "What you sent."
provenance = "provided"
for_each = "email"
get = "/mails"
params = { owner = "{email}", after = "{after}" }
items = "mails"
verify = { "owner" = "email" }
page = { PAGE }
fields.id = { text = "Identifier." }
"""
HEADER = 'kind = "link", header = true'


@pytest.fixture
def mails() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def mail(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "owner": "ann@example.test", **more}


def read_mails(mails: StandIn, page: str) -> list[Any]:
    return ids_of(records_of(open_source(MAIL.replace("PAGE", page), mails.url), "mails", person()))


@pytest.mark.parametrize(
    "link",
    [
        '</mails?fields=id,owner;x&after=2>; rel="next"',
        "</mails?after=9>; rel=prev, </mails?after=2>; rel=next",
        '</mails?after=2>; rel="last next"',
        '</mails?after=2>; rel="Next"',
        '</mails?after=2>; Rel = "next"; title="a, b; c"',
        '</mails?after=9>; title="x; rel=next"; rel="prev" , </mails?after=2>;rel="next"',
    ],
)
def test_the_next_page_is_found_in_each_form_of_the_header(mails: StandIn, link: str) -> None:
    """RFC 8288: a URL may have commas, relations are several words in any case, and parameters have blanks."""
    pages = {"": (200, {"Link": link}, {"mails": [mail("a")]}), "2": (200, {}, {"mails": [mail("b")]})}
    mails.on("/mails")(lambda asked: pages[asked.query.get("after", "")])

    assert read_mails(mails, HEADER) == ["a", "b"]


@pytest.mark.parametrize(
    "link",
    ['</mails?after=9>; rel="prev"', '</mails?after=9>; rel="nextish"', '</mails?after=9>; title="next"'],
)
def test_a_header_that_names_no_next_page_ends_the_list(mails: StandIn, link: str) -> None:
    """Only the relation `next` is the next page."""
    mails.on("/mails")(lambda _asked: (200, {"Link": link}, {"mails": [mail("a")]}))

    assert read_mails(mails, HEADER) == ["a"]
    assert mails.paths() == ["/mails"]


@pytest.mark.parametrize(
    ("page", "answer"),
    [
        ('kind = "cursor", next = "next", more = "more"', {"mails": [mail("a")], "more": True}),
        ('kind = "cursor", next = "next", more = "more"', {"mails": [mail("a")], "more": True, "next": ""}),
        ('kind = "link", next = "next", more = "more"', {"mails": [mail("a")], "more": "true", "next": None}),
        ('kind = "link", header = true, more = "more"', {"mails": [mail("a")], "more": 1}),
        ('kind = "key", key = "number", start = 0, more = "more"', {"mails": [mail("a")], "more": True}),
        ('kind = "key", key = "number", start = 0, until_empty = true', {"mails": [mail("a"), mail("b", number=None)]}),
    ],
)
def test_a_list_that_goes_on_without_a_place_is_refused(mails: StandIn, page: str, answer: dict[str, Any]) -> None:
    """A source that says that more pages follow, and names none: the records there would be missing without a word."""
    mails.on("/mails")(lambda _asked: answer)

    with pytest.raises(SourceRefused, match="mails: more pages follow, and the answer does not name the next"):
        read_mails(mails, page)
