"""Pages of lists as interfaces name them: a list ends by the map's rule, and a record that comes again comes once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from http_sources import Asked, StandIn, ids_of, open_source, person, records_of, stand_in

from exporters.http import listing
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


@pytest.mark.parametrize("page", [HEADER, 'kind = "link", next = "next"'])
def test_a_link_is_relative_to_the_page_that_names_it(mails: StandIn, page: str) -> None:
    """RFC 3986, section 5.1.3: the page is the one behind all redirects, and not the first of the list."""
    following = {"/v2/mails/1": "2", "/v2/mails/2": "more/3", "/v2/mails/more/3": "4", "/v2/mails/more/4": None}

    def answer(asked: Asked) -> Any:
        link = following[asked.path]
        head = {"Link": f"<{link}>; rel=next"} if link else {}
        return 200, head, {"mails": [mail(asked.path[-1])], "next": link}

    mails.on("/mails")(lambda _asked: (302, {"Location": "/v2/mails/1"}, b""))
    mails.on("/v2/*")(answer)

    assert read_mails(mails, page) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("link", ["http://[", "https://\u212a\u2100.test/x", "https://a.test:ann/", "https://a .test/"])
def test_a_link_that_is_no_url_is_a_refusal(mails: StandIn, link: str) -> None:
    """The message does not contain it."""
    mails.on("/mails")(lambda _asked: {"mails": [mail("a")], "next": link})

    with pytest.raises(SourceRefused, match=r"^mails: the source names an invalid URL") as refused:
        read_mails(mails, 'kind = "link", next = "next"')
    assert not [part for part in (".test", "ann") if part in str(refused.value)]


@pytest.mark.parametrize(
    "link",
    ['</mails?after=9>; rel="prev"', '</mails?after=9>; rel="nextish"', '</mails?after=9>; title="next"'],
)
def test_a_header_that_names_no_next_page_ends_the_list(mails: StandIn, link: str) -> None:
    """Only the relation `next` is the next page."""
    mails.on("/mails")(lambda _asked: (200, {"Link": link}, {"mails": [mail("a")]}))

    assert read_mails(mails, HEADER) == ["a"]


def test_a_long_header_takes_little_time(mails: StandIn) -> None:
    """A search from each `<` to the end of the header takes half a minute, in which no other thread runs."""
    mails.on("/mails")(lambda _asked: (200, {"Link": "<" * 60_000}, {"mails": [mail("a")]}))
    begun = time.process_time()

    assert read_mails(mails, HEADER) == ["a"]
    assert time.process_time() - begun < 5
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


@pytest.mark.parametrize(
    ("page", "pages"),
    [
        (
            'kind = "key", key = "number", start = 0, until_empty = true',
            {"0": [1, 2, 3], "3": [3, 4, 5], "5": [5, 6, 1], "1": []},
        ),
        ('kind = "cursor", next = "next"', {"": [1, 2, 3], "b": [3, 4, 5], "c": [5, 6, 1]}),
        ('kind = "link", next = "next"', {"": [1, 2, 3], "b": [3, 4, 5], "c": [5, 6, 1]}),
    ],
)
def test_a_record_that_comes_again_comes_once(mails: StandIn, page: str, pages: dict[str, list[int]]) -> None:
    """Bounds are inclusive in some interfaces, and a record that is changed moves to the end of a list by change."""
    following = dict(zip(pages, [*pages][1:], strict=False))

    def answer(asked: Asked) -> Any:
        place = asked.query.get("after", "")
        token = following.get(place)
        is_link = "link" in page and token
        found = [mail(f"m{number}", number=number) for number in pages[place]]
        return {"mails": found, "next": f"/mails?after={token}" if is_link else token}

    mails.on("/mails")(answer)

    assert read_mails(mails, page) == ["m1", "m2", "m3", "m4", "m5", "m6"]


def test_a_long_list_with_a_cursor_has_no_limit_of_keys(mails: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a list repeats only what pages share: it is compared with the last keys, and read to its end."""
    monkeypatch.setattr(listing, "KEYS_MOST", 3)
    pages = {"": [1, 2, 3], "b": [3, 4, 5], "c": [5, 6, 7]}
    following = {"": "b", "b": "c"}

    def answer(asked: Asked) -> Any:
        place = asked.query.get("after", "")
        return {"mails": [mail(f"m{number}") for number in pages[place]], "next": following.get(place)}

    mails.on("/mails")(answer)

    assert read_mails(mails, 'kind = "cursor", next = "next"') == ["m1", "m2", "m3", "m4", "m5", "m6", "m7"]


def test_a_part_of_a_list_is_refused_where_no_page_follows(mails: StandIn) -> None:
    """PostgREST answers 206 if its limit has cut the list: without `page` the rest would be missing without a word."""
    pages = {"": [mail("a")], "1": [mail("b")], "2": []}
    mails.on("/mails")(lambda asked: (206, {}, {"mails": pages[asked.query.get("after", "").replace("0", "")]}))

    assert read_mails(mails, 'kind = "offset", until_empty = true') == ["a", "b"]
    alone = MAIL.replace(', after = "{after}"', "").replace("page = { PAGE }\n", "")
    with pytest.raises(SourceRefused, match=r"^mails: the answer is a part of the list \(206\)$"):
        records_of(open_source(alone, mails.url), "mails", person())


def test_an_answer_that_repeats_a_record_gives_it_once(mails: StandIn) -> None:
    """An interface that joins tables repeats what has several relations. Records of one key that differ are shown."""
    again = [mail("a", n=1), mail("a", n=1), mail("b", n=1), mail("b", n=2)]
    mails.on("/mails")(lambda _asked: {"mails": again})
    exporter = open_source(MAIL.replace("page = { PAGE }\n", "").replace(', after = "{after}"', ""), mails.url)

    assert ids_of(records_of(exporter, "mails", person())) == ["a", "b", "b"]


def test_a_link_that_comes_again_leads_to_its_record_once(mails: StandIn) -> None:
    """Who has sent a mail and is named in it is linked twice: also in two batches, the mail is one record."""
    links = '[[links]]\nname = "ids"\nfor_each = "email"\nscoped = true\nget = "/links"\ngives = "to"\n[[dataset]]'
    text = MAIL.replace("[[dataset]]", links).replace(
        'for_each = "email"\nget = "/mails"', 'parent = "ids"\nbatch = 2\nget = "/mails"'
    )
    text = (
        text.replace('params = { owner = "{email}", after = "{after}" }', 'params = { ids = "{ids}" }')
        .replace("page = { PAGE }\n", "")
        .replace('verify = { "owner" = "email" }\n', "")
    )
    mails.on("/links")(lambda _asked: [{"to": name, "as": number} for number, name in enumerate("abbca")])
    mails.on("/mails")(lambda asked: {"mails": [mail(name) for name in asked.query["ids"].split(",")]})

    assert ids_of(records_of(open_source(text, mails.url), "mails", person())) == ["a", "b", "c"]
    assert [asked.query.get("ids") for asked in mails.asked] == [None, "a,b", "c"]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_page_that_is_never_there_is_a_refusal(mails: StandIn, status: int) -> None:
    """A token may expire, so the list is begun again; a page that is missing each time is a fault of the map."""
    pages = {"": {"mails": [mail("a")], "next": "x"}}
    mails.on("/mails")(lambda asked: pages.get(asked.query.get("after", "")) or (status, {}, b""))

    with pytest.raises(SourceRefused) as refused:
        read_mails(mails, 'kind = "cursor", next = "next"')
    assert str(refused.value).startswith(
        f"mails: the source answers {status} to the place of a later page, also after the list was begun again 2 times"
    )
    assert "check `page` of the map" in str(refused.value.hint)


def test_a_token_that_expires_once_costs_no_record(mails: StandIn) -> None:
    """The list is begun again, and goes on behind what was read."""
    left: list[Any] = [(404, {}, b"")]
    pages = {"": {"mails": [mail("a")], "next": "x"}, "x": {"mails": [mail("b")]}}

    def answer(asked: Asked) -> Any:
        after = asked.query.get("after", "")
        return left.pop() if after and left else pages[after]

    mails.on("/mails")(answer)

    assert read_mails(mails, 'kind = "cursor", next = "next"') == ["a", "b"]


KEEP = MAIL.replace("page = { PAGE }", "keep = [{ CONDITION }]").replace(', after = "{after}"', "")


def kept_mails(mails: StandIn, condition: str) -> list[Any]:
    return ids_of(records_of(open_source(KEEP.replace("CONDITION", condition), mails.url), "mails", person()))


MISSING = "no item has what `keep` names: {}; for a name that may be missing: {} || `null`"


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        ('at = "shown", equals = true', "shown"),
        ('at = "state", among = ["sent", "read"]', "state"),
        ('at = "sent_at", empty = false', "sent_at"),
        ('at = "meta.state", equals = "sent"', "meta.state"),
    ],
)
def test_a_condition_on_a_renamed_name_is_a_refusal(mails: StandIn, condition: str, name: str) -> None:
    """All items would be left out without a word. A name that the source may leave out has a default in the map."""
    mails.on("/mails")(lambda _asked: {"mails": [mail("a", public=True, meta={"status": "sent"}), mail("b")]})

    with pytest.raises(SourceRefused, match=re.escape(MISSING.format(name, name))):
        kept_mails(mails, condition)
    optional = condition.replace(f'"{name}"', f'"{name} || `null`"')
    assert kept_mails(mails, optional) == []


@pytest.mark.parametrize(
    ("condition", "expected"),
    [('at = "deleted_at", empty = true', ["a", "b"]), ('at = "public", equals = true', ["a"])],
)
def test_a_condition_keeps_what_it_names(mails: StandIn, condition: str, expected: list[str]) -> None:
    """Some items may lack the name; where it must be empty, all of them may."""
    mails.on("/mails")(lambda _asked: {"mails": [mail("a", public=True), mail("b")]})

    assert kept_mails(mails, condition) == expected


@pytest.mark.parametrize(
    ("stored", "asked_for"),
    [("ANN@example.test", ["ANN@example.test", "ann@example.test"]), ("ann@example.test", ["ann@example.test"])],
)
def test_a_list_is_asked_for_in_each_spelling_of_an_address(mails: StandIn, stored: str, asked_for: list[str]) -> None:
    """Stripe compares addresses letter by letter: an address in other letters would have no records, without a word."""
    mails.on("/mails")(lambda asked: {"mails": [mail("a")] if asked.query["owner"] == "ann@example.test" else []})
    exporter = open_source(MAIL.replace("PAGE", 'kind = "cursor", next = "next"'), mails.url)

    assert ids_of(records_of(exporter, "mails", person(stored))) == ["a"]
    assert [asked.query["owner"] for asked in mails.asked] == asked_for


def test_two_records_of_one_answer_with_the_same_key_come_both(mails: StandIn) -> None:
    """A key that is not unique, such as a time, loses no record, also in a list with pages."""
    first, second = mail("a", text="one"), mail("a", text="two")
    mails.on("/mails")(lambda asked: {"mails": [] if "after" in asked.query else [first, second], "next": None})
    text = MAIL.replace("PAGE", 'kind = "cursor", next = "next"') + 'fields.text = { text = "What was written." }\n'
    records = records_of(open_source(text, mails.url), "mails", person())

    assert [record["text"] for record in records] == ["one", "two"]
