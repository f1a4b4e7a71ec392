"""Ends of lists of HTTP sources: what only looks like the end of a list is a gap or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_sources import Asked, StandIn, batches_of, ids_of, open_source, person, stand_in

from exporters.http import batches
from portability.api import Batch, Gap
from portability.api.errors import SourceRefused

LETTERS = """
title = "Letters"
role = "controller"
kinds = ["user", "email"]
[[dataset]]
name = "letters"
title = "Letters"
description = "What you sent."
provenance = "provided"
for_each = "email"
get = "/letters"
params = { page = "{after}" }
LIST
verify = { "owner" = "email" }
fields.id = { text = "Identifier." }
"""
CUT_LETTERS = (Gap("letters", "incomplete_list"),)


@pytest.fixture
def letters() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def letter(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "owner": "ann@example.test", **more}


def read_letters(letters: StandIn, lines: str) -> Batch:
    """The only batch of a map with these lines."""
    text = LETTERS.replace("LIST", lines)
    if "page = { kind" not in text:
        text = text.replace('params = { page = "{after}" }', "")
    (batch,) = batches_of(open_source(text, letters.url), "letters", person())
    return batch


@pytest.mark.parametrize("end", [(404, {}, b"{}"), {"letters": [], "total": None}])
def test_a_list_keeps_the_size_that_an_earlier_page_has_stated(letters: StandIn, end: Any) -> None:
    """The last page states none, or is a status of `none_on`: the list ends with two of five letters."""
    first = {"letters": [letter("a"), letter("b")], "total": 5}
    letters.on("/letters")(lambda asked: first if asked.query["page"] == "1" else end)

    found = read_letters(
        letters,
        'items = "letters"\nnone_on = [404]\npage = { kind = "number", until_empty = true, total = "total" }',
    )

    assert (ids_of(found.records), found.gaps) == (["a", "b"], CUT_LETTERS)


@pytest.mark.parametrize("status", [204, 404])
def test_a_page_that_the_source_has_announced_is_not_missing(letters: StandIn, status: int) -> None:
    """`more` said that it follows: `none_on` means that there is nothing, and ends no list in its middle.

    If it is there when the list is read again, the list is whole.
    """
    lines = f'items = "letters"\nnone_on = [{status}]\npage = {{ kind = "number", more = "more" }}'
    first, last = {"letters": [letter("a")], "more": True}, {"letters": [letter("b")], "more": False}
    second: list[Any] = [(status, {}, b""), last, last]
    letters.on("/letters")(lambda asked: first if asked.query["page"] == "1" else second.pop(0))
    found = read_letters(letters, lines)
    second += [(status, {}, b"")] * 3

    assert (ids_of(found.records), found.gaps) == (["a", "b"], ())
    with pytest.raises(SourceRefused, match="letters: the source has announced a page, and answers that it is not"):
        read_letters(letters, lines)


FILTERED = {
    "number": ("letters[?kind == 'out']", 'kind = "number", until_empty = true'),
    "offset": ("letters[?kind == 'out'].letter", 'kind = "offset", start = 1, until_empty = true'),
    "offset, within": ("data.letters[].letter", 'kind = "offset", start = 1, until_empty = true'),
}


@pytest.mark.parametrize("case", FILTERED)
def test_a_page_of_which_the_map_takes_no_item_is_not_empty(letters: StandIn, case: str) -> None:
    """An expression of `items` leaves items out: the source has given a page of others, and counts them."""
    items, page = FILTERED[case]
    rows = [letter(name, kind="in" if name in "bcd" else "out") for name in "abcde"]
    if items.endswith(".letter"):
        rows = [{"kind": row["kind"], **({"letter": row} if row["kind"] == "out" else {})} for row in rows]

    def answer(asked: Asked) -> Any:
        place = int(asked.query["page"]) - 1
        begin = place * 2 if case == "number" else place
        found = {"letters": rows[begin : begin + 2]}
        return {"data": found} if items.startswith("data") else found

    letters.on("/letters")(answer)

    found = read_letters(letters, f'items = "{items}"\npage = {{ {page} }}')

    assert (ids_of(found.records), found.gaps) == (["a", "e"], ())
    assert len(letters.asked) < 12


NOT_GIVEN = [{"message": "Timeout on validation of query", "path": ["letters"]}]


@pytest.mark.parametrize("given", [[letter("a")], None])
def test_an_error_beside_data_is_a_gap(letters: StandIn, given: Any) -> None:
    """GraphQL answers 200 with what it could read, null in place of the rest, and `errors` (section 7.1)."""
    letters.on("/letters")(lambda _asked: {"data": {"letters": given}, "errors": NOT_GIVEN})

    found = read_letters(letters, 'items = "data.letters"')

    assert (ids_of(found.records), found.gaps) == (ids_of(given or ()), CUT_LETTERS)


def test_no_error_beside_data_is_no_gap(letters: StandIn) -> None:
    """Some servers write an empty list, and `errors` of a record is a value like any other."""
    letters.on("/letters")(lambda _asked: {"data": [letter("a", errors=["spam"])], "errors": []})

    found = read_letters(letters, 'items = "data"')

    assert (ids_of(found.records), found.gaps) == (["a"], ())


def test_errors_in_place_of_data_are_a_refusal(letters: StandIn) -> None:
    """Null counts as an empty list only where nothing has failed."""
    letters.on("/letters")(lambda _asked: {"data": None, "errors": NOT_GIVEN})

    with pytest.raises(SourceRefused, match="letters: an answer has another form than the map says: it has `errors`"):
        read_letters(letters, 'items = "data.letters"')


BY_KEY = 'items = "letters"\npage = { kind = "key", key = "at", start = 0, END }'
STRICT, INCLUSIVE = "until_empty = true", 'more = "more"'


def by_key(letters: StandIn, times: str, size: int, end: str) -> Batch:
    """Letters of these times, from behind the last time on, or from it on where the bound is inclusive."""
    rows = [letter(name, at=int(at)) for name, at in zip("abcdefgh", times, strict=False)]

    def answer(asked: Asked) -> Any:
        after = int(asked.query["page"])
        left = [row for row in rows if row["at"] > after or (end == INCLUSIVE and row["at"] == after)]
        return {"letters": left[:size], "more": len(left) > size}

    letters.on("/letters")(answer)
    return read_letters(letters, BY_KEY.replace("END", end))


@pytest.mark.parametrize(("times", "given"), [("12223", "abce"), ("112233", "abcef"), ("123344", "abcef")])
def test_a_key_that_several_records_have_is_a_gap(letters: StandIn, times: str, given: str) -> None:
    """Behind the last time of a page, a record of the same time may be on no page."""
    found = by_key(letters, times, 3, STRICT)

    assert (ids_of(found.records), found.gaps) == ([*given], CUT_LETTERS)


@pytest.mark.parametrize(("times", "end"), [("123456", STRICT), ("1123", STRICT), ("12223", INCLUSIVE)])
def test_a_key_of_which_no_record_is_lost_is_no_gap(letters: StandIn, times: str, end: str) -> None:
    """It is unique, or all are on one page, or the bound is inclusive."""
    found = by_key(letters, times, 4, end)

    assert (ids_of(found.records), found.gaps) == ([*"abcdefgh"[: len(times)]], ())


@pytest.mark.parametrize(
    ("size", "stated", "gaps"),
    [
        ("most = 4", 4, CUT_LETTERS),
        ("most = 5", 4, ()),
        ('total = "total"', 4, ()),
        ('total = "total"', 5, CUT_LETTERS),
    ],
)
def test_a_size_counts_items_that_an_expression_leaves_out(
    letters: StandIn, size: str, stated: int, gaps: tuple[Gap, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source counts all of its items: two of the four are letters, also if the reading continues between them."""
    monkeypatch.setattr(batches, "BATCH_RECORDS", 1)
    pages: dict[str, dict[str, Any]] = {
        "": {"letters": [letter("a", kind="mail"), letter("call", kind="call")], "next": "x"},
        "x": {"letters": [letter("b", kind="mail"), letter("fax", kind="fax")]},
    }
    letters.on("/letters")(lambda asked: {**pages[asked.query.get("page", "")], "total": stated})
    lines = f"""items = "letters[?kind == 'mail']"\npage = {{ kind = "cursor", next = "next", {size} }}"""
    exporter = open_source(LETTERS.replace("LIST", lines), letters.url)

    read = batches_of(exporter, "letters", person())
    assert [ids_of(batch.records) for batch in read] == [["a"], ["b"]]
    assert sum((batch.gaps for batch in read), ()) == gaps
    (rest,) = batches_of(exporter, "letters", person(), after=read[0].cursor)
    assert (ids_of(rest.records), rest.gaps) == (["b"], gaps)
