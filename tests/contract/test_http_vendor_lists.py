"""Lists as vendors' interfaces give them: each is read whole, or its missing rest is a gap, or the map is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from http_sources import Asked, StandIn, batches_of, ids_of, open_source, person, records_of, resolved, stand_in
from repository import ROOT
from vendor_rules import CAP, CUT, ROWS, VENDORS, vendor_row

from exporters.http.exporter import HttpExporter
from portability.api import Batch, Gap
from portability.api.errors import SourceRefused

CUT_LIST = Gap("tickets", "incomplete_list")


@pytest.fixture
def vendor() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.mark.parametrize("name", VENDORS)
def test_a_list_is_read_whole(vendor: StandIn, name: str) -> None:
    """Each form of pages gives every record once, and an empty list none."""
    for count in (ROWS, 0):
        VENDORS[name].serve(vendor, count)
        exporter = open_source(VENDORS[name].map(), vendor.url)

        assert ids_of(records_of(exporter, "tickets")) == [str(number) for number in range(1, count + 1)]


@pytest.mark.parametrize("name", [*VENDORS, *CUT])
def test_a_list_without_page_is_refused(vendor: StandIn, name: str) -> None:
    """A map that forgets `page` would give the first page of each list, without a word."""
    listed = VENDORS.get(name) or CUT[name]
    listed.serve(vendor)
    with pytest.raises(SourceRefused, match="tickets: the answer says that more follows"):
        records_of(open_source(listed.map(page=""), vendor.url), "tickets")


@pytest.mark.parametrize("name", CUT)
def test_the_missing_rest_of_a_list_is_a_gap(vendor: StandIn, name: str) -> None:
    """A vendor gives the first results only: the list ends there, and the archive says so. A shorter list is whole."""
    exporter = open_source(CUT[name].map(), vendor.url)
    CUT[name].serve(vendor, CAP - 1)
    subject = resolved(exporter, person())
    (whole,) = batches_of(exporter, "tickets", subject)
    CUT[name].serve(vendor)
    (cut,) = batches_of(exporter, "tickets", subject)

    assert (len(whole.records), whole.gaps) == (CAP - 1, ())
    assert (len(cut.records), cut.gaps) == (CAP, (CUT_LIST,))


WRONG = {
    "no such token": ("zendesk", 'kind = "cursor", next = "meta.after"', "more follows (has_more)"),
    "no such link": ("twilio", 'kind = "link", next = "next_page_url"', "more follows (next_page_uri)"),
    "no such header": ("front", 'kind = "link", header = true', "more follows (next)"),
    "no such end": ("stripe", 'kind = "cursor", next = "data[-1].id", more = "more"', "it has no 'more', which `more`"),
    "no such negative": ("salesforce", 'kind = "link", next = "nextRecordsUrl", more = "!don"', "it has no 'don'"),
    "no such pages": (
        "help_scout",
        'kind = "number", more = "page.number < page.pages"',
        "compares what is not a number",
    ),
}


@pytest.mark.parametrize(("name", "page", "match"), WRONG.values(), ids=WRONG)
def test_a_wrong_name_in_page_ends_no_list(vendor: StandIn, name: str, page: str, match: str) -> None:
    """A name that no answer has would end each list after its first page."""
    VENDORS[name].serve(vendor)
    exporter = open_source(VENDORS[name].map(page=f"page = {{ {page} }}"), vendor.url)

    with pytest.raises(SourceRefused, match=re.escape(match)):
        records_of(exporter, "tickets")


def test_the_map_s_word_that_nothing_follows_is_believed(vendor: StandIn) -> None:
    """A name such as `has_more` may mean something else to a source: what the map says decides."""
    VENDORS["zendesk"].serve(vendor)
    written = VENDORS["zendesk"].map(page='page = { kind = "link", header = true, more = "`false`" }')

    found = ids_of(records_of(open_source(written, vendor.url), "tickets"))

    assert 0 < len(found) < ROWS


def test_a_look_up_reads_all_pages(vendor: StandIn) -> None:
    """A search finds parts of addresses, and the person is on the second page. Without `page` the map is refused."""
    listed = VENDORS["chatwoot"]
    listed.serve(vendor)
    others = [{"id": 100 + number, "email": f"x{number}-ann@example.test"} for number in range(12)]
    pages = {"1": others, "2": [{"id": 7, "email": "ann@example.test"}]}
    vendor.on("/person")(lambda asked: {"people": pages.get(asked.query.get("page", "1"), []), "meta": {"count": 13}})
    paged = 'params = { email = "{email}", page = "{after}" }\npage = { kind = "number", until_empty = true }'
    exporter = open_source(listed.map().replace('params = { email = "{email}" }', paged), vendor.url)

    assert len(records_of(exporter, "tickets")) == ROWS
    with pytest.raises(SourceRefused, match="look-up by email: the answer says that more follows"):
        open_source(listed.map(), vendor.url).identities(person())


@pytest.mark.parametrize("limit", ['total = "meta.count"', "most = 12"])
def test_a_look_up_of_which_a_part_is_given_finds_no_one(vendor: StandIn, limit: str) -> None:
    """The person may be among the hits that the source does not give: that is not "not found"."""
    others = [{"id": 100 + number, "email": f"x{number}-ann@example.test"} for number in range(12)]
    vendor.on("/person")(lambda asked: {"people": others if asked.query["page"] == "1" else [], "meta": {"count": 13}})
    paged = f'params = {{ page = "{{after}}" }}\npage = {{ kind = "number", until_empty = true, {limit} }}'
    text = VENDORS["chatwoot"].map().replace('params = { email = "{email}" }', paged)

    with pytest.raises(SourceRefused, match="the source gives only a part of the hits"):
        open_source(text, vendor.url).identities(person())


CALLS = """
title = "Telephone"
role = "controller"
kinds = ["email"]

[[identity]]
from = "email"
get = "/person"
verify = { "email" = "email" }
gives = "caller"

[[dataset]]
name = "calls"
title = "Calls"
description = "Calls to and from you."
provenance = "provided"
for_each = "caller"
scoped = true
[dataset.fields]
id = { text = "Identifier." }
"""
CUT_LINES = 'within = "parts.items"\ncut = "parts.total > length(parts.items)"'
PARTS = """
[[dataset]]
name = "parts"
title = "Parts"
description = "What was written."
provenance = "provided"
parent = "tickets"
within = "parts.items"
cut = "parts.total > length(parts.items)"
fields.id = { text = "Identifier." }
"""


def test_a_list_within_an_item_may_be_cut(vendor: StandIn) -> None:
    """Intercom gives 500 parts of a conversation, Stripe ten lines of an invoice: that of one ticket is a gap."""
    tickets = [
        vendor_row(1, parts={"total": 1, "items": [{"id": 10}]}),
        vendor_row(2, parts={"total": 501, "items": [{"id": 20}]}),
    ]
    VENDORS["front"].serve(vendor)
    vendor.on("/list")(lambda _asked: {"_results": [*tickets, vendor_row(3, parts={"total": 0, "items": []})]})
    exporter = open_source(VENDORS["front"].map() + PARTS, vendor.url)
    (batch,) = batches_of(exporter, "parts", resolved(exporter, person()))

    assert ids_of(batch.records) == ["10", "20"]
    assert batch.gaps == (Gap("tickets/2/parts", "incomplete_list"),)


def test_the_missing_rest_of_a_list_is_that_of_what_belongs_to_it(vendor: StandIn) -> None:
    """The tickets that a source does not give have messages, too: that is one gap, also if a reading continues."""
    CUT["aircall"].serve(vendor)
    messages = PARTS.replace(
        'within = "parts.items"\ncut = "parts.total > length(parts.items)"', 'get = "/m/{tickets.id}"'
    )
    vendor.on("/m/*")(lambda asked: [{"id": f"{asked.path[3:]}-{number}"} for number in range(250)])
    exporter = open_source(CUT["aircall"].map() + messages, vendor.url)
    subject = resolved(exporter, person())
    first, *others = batches_of(exporter, "parts", subject)

    assert first.gaps == ()
    assert sum(len(batch.records) for batch in (first, *others)) == CAP * 250
    assert [gap for batch in others for gap in batch.gaps] == [CUT_LIST]
    check_continuing(exporter, "parts", [first, *others])


def check_continuing(exporter: HttpExporter, name: str, given: Sequence[Batch]) -> None:
    """What a reading reports behind each cursor is what the first reading reported behind it."""
    gaps = [[gap for batch in given[number:] for gap in batch.gaps] for number in range(1, len(given) + 1)]
    for batch, left in zip(given, gaps, strict=True):
        later = batches_of(exporter, name, resolved(exporter, person()), after=batch.cursor)
        assert [gap for one in later for gap in one.gaps] == left


UNION = """
[[dataset.union]]
get = "/from"
gap_on = [403]
page = { kind = "number", total = "count", until_empty = true }
params = { page = "{after}" }
items = "rows"
[[dataset.union]]
get = "/to"
page = { kind = "number", total = "count", until_empty = true }
params = { page = "{after}" }
items = "rows"
"""


@pytest.mark.parametrize("refused", [False, True])
def test_a_gap_of_several_requests_is_reported_once(
    vendor: StandIn, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """A reading that continues in the second request asks the first again, for its keys, and says nothing more."""
    monkeypatch.setattr("exporters.http.batches.BATCH_RECORDS", 1)

    def rows(begin: int) -> Any:
        numbers = [begin, begin + 1, begin + 2]
        return lambda asked: {
            "count": 9,
            "rows": [{"id": numbers[page]}] if (page := int(asked.query["page"]) - 1) < 3 else [],
        }

    vendor.on("/from")((lambda _asked: (403, {}, {})) if refused else rows(10))
    vendor.on("/to")(rows(20))
    vendor.on("/person")(lambda _asked: [{"id": 7, "email": "ann@example.test"}])
    exporter = open_source(CALLS + UNION, vendor.url)
    given = batches_of(exporter, "calls", resolved(exporter, person()))

    assert ids_of([record for batch in given for record in batch.records]) == ["10", "11", "12"] * (not refused) + [
        "20",
        "21",
        "22",
    ]
    assert [gap.reason for batch in given for gap in batch.gaps] == ["source_refused" if refused else "incomplete_list"]
    check_continuing(exporter, "calls", given)


def test_a_list_that_shrinks_between_two_readings_is_read_again(vendor: StandIn) -> None:
    """The size of the list is part of the place: a record that moved while nothing was read is not lost."""
    rows = [vendor_row(number) for number in range(1, 1301)]
    VENDORS["mailchimp"].serve(vendor)
    vendor.on("/3.0/members")(
        lambda asked: {"members": rows[int(asked.query["offset"]) :][:600], "total_items": len(rows)}
    )
    exporter = open_source(VENDORS["mailchimp"].map(), vendor.url)
    subject = resolved(exporter, person())
    first, *_others = batches_of(exporter, "tickets", subject)
    del rows[1]
    rest = batches_of(exporter, "tickets", subject, after=first.cursor)
    given = [record["id"] for batch in (first, *rest) for record in batch.records]

    assert given == [str(number) for number in range(1, 1301)]


def test_numbers_that_are_texts_are_compared_as_numbers(vendor: StandIn) -> None:
    """As texts, "9" is behind "10": the list would end after its ninth page."""
    listed = VENDORS["help_scout"]
    listed.serve(vendor)
    vendor.on("/v2/conversations")(
        lambda asked: {
            "_embedded": {"conversations": [vendor_row(int(asked.query["page"]))]},
            "page": {"number": asked.query["page"], "totalPages": "12", "totalElements": "12"},
        }
    )

    assert len(records_of(open_source(listed.map(), vendor.url), "tickets")) == 12


WRONG_NAMES = {
    "within": (PARTS.replace('within = "parts.items"', 'within = "part.items"'), "", "`within` names: part.items"),
    "each": (PARTS.replace(CUT_LINES, 'each = "refs[].id"\nget = "/q/{each}"'), "", "`each` names: refs[].id"),
    "cut": (PARTS.replace('cut = "parts.total', 'cut = "parts.count'), "", "`cut` compares what is not a number"),
    "total": ("", ', total = "count" }', "it has no 'count', which `total` names"),
    "until_empty": ("", ", until_empty = true }", "more follows (next)"),
    "verified": ("", 'verified = "email_verifed"', "`verified` names: email_verifed"),
    "when": (PARTS + 'file = { url = "file", when = "fil" }\n', "", "`when` names: fil"),
    "tenant": ("", 'tenant = "org"', "`tenant` names: org"),
}


@pytest.mark.parametrize("key", WRONG_NAMES)
def test_a_wrong_name_leaves_nothing_out(vendor: StandIn, key: str) -> None:
    """A name that no answer has would mean that there is nothing: no parts, no end, no proof."""
    parts, line, match = WRONG_NAMES[key]
    listed = VENDORS["front"]
    listed.serve(vendor)
    ticket = vendor_row(1, parts={"total": 1, "items": [{"id": 10}]})
    following = f"{vendor.url}/list?page_token=1"
    vendor.on("/list")(
        lambda asked: {"_results": [ticket], "_pagination": {"next": None if asked.query else following}}
    )
    page = (
        'page = { kind = "link", next = "_pagination.nxt"' if key == "until_empty" else listed.page.removesuffix(" }")
    )
    text = listed.map(page=page + (line if line.endswith("}") else " }"))
    text = text if line.endswith("}") else text.replace('gives = "person"', f'gives = "person"\n{line}')

    with pytest.raises(SourceRefused, match=re.escape(match)):
        records_of(open_source(text + parts, vendor.url), "parts" if parts else "tickets")


def test_what_a_source_refuses_of_one_record_is_its_gap(vendor: StandIn) -> None:
    """A ticket whose messages are gone, or are not for the account: those of the others are delivered."""
    VENDORS["front"].serve(vendor, 3)
    vendor.on("/m/*")(lambda asked: (403, {}, {}) if asked.path == "/m/2" else [{"id": f"{asked.path[3:]}-1"}])
    messages = PARTS.replace(CUT_LINES, 'get = "/m/{tickets.id}"\ngap_on = [403, 404]')
    exporter = open_source(VENDORS["front"].map() + messages, vendor.url)
    (batch,) = batches_of(exporter, "parts", resolved(exporter, person()))

    assert ids_of(batch.records) == ["1-1", "3-1"]
    assert batch.gaps == (Gap("tickets/2/parts", "source_refused"),)


def test_the_documented_pages_of_vendors_are_those_that_are_tested() -> None:
    """The table of the documentation has each `page` of the stand-ins; their limits are smaller."""
    text = (ROOT / "docs/maps-http.md").read_text()
    tested = [listed.page.removeprefix("page = ") for listed in {**VENDORS, **CUT}.values()]

    assert [page for page in tested if page.replace(f", most = {CAP} }}", "") not in text] == []


@pytest.mark.parametrize(("name", "gaps"), [("zoho", 1), ("mailchimp", 0)])
def test_a_record_that_is_deleted_while_a_list_is_read_hides_none(vendor: StandIn, name: str, gaps: int) -> None:
    """Another record moves to a page that was read. With `total` the list is read again, without it there is a gap."""
    listed = VENDORS[name]
    listed.serve(vendor)
    rows = [vendor_row(number) for number in range(1, ROWS + 1)]

    def answer(asked: Asked) -> Any:
        found = listed.answer(asked, list(rows))
        if asked.query.get("page") == "1" or asked.query.get("offset") == "0":
            del rows[: len(rows) - ROWS + 1]
        return found

    vendor.on(listed.path)(answer)
    exporter = open_source(listed.map(), vendor.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    assert len(batch.records) == ROWS - gaps
    assert batch.gaps == (Gap("tickets", "changed"),) * gaps
