"""The twelve facts about sources that decide the engine: each was seen on a real system, and each has a test."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from http_sources import (
    Asked,
    StandIn,
    batches_of,
    ids_of,
    map_of,
    memory_sources,
    open_source,
    person,
    records_of,
    resolved,
    stand_in,
)
from wrong_clocks import set_wrong

from exporters.http import levels, records
from portability.api import Identity, RowRemark, Selection
from portability.api.errors import BadMap, SourceRefused, SourceUnavailable
from portability.testing import check_exporter

DESK = """
title = "Help desk"
role = "controller"
kinds = ["user", "email"]

[[identity]]
from = "email"
get = "/users"
params = { query = '{email}' }
items = "users"
verify = { "address" = "email" }
gives = "desk_user"

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Requests that you sent."
provenance = "provided"
for_each = "desk_user"
get = "/tickets"
params = { owner = "{desk_user}", after = "{after}" }
items = "items"
verify = { "owner" = "desk_user" }
page = { kind = "key", key = "id", start = 0, until_empty = true }
created = "created_at"
[dataset.fields]
id = { text = "Identifier." }
subject = { text = "What it is about.", third_party = true }
created_at = { type = "datetime", text = "When it was created." }
"""
BEGAN_AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def stand() -> Iterator[StandIn]:
    with stand_in() as server:
        server.on("/users")(lambda _asked: {"users": [{"id": 7, "address": "ann@example.test"}]})
        server.on("/tickets")(tickets(25))
        yield server


def tickets(count: int, size: int = 10) -> Any:
    """Answers with tickets of user 7, from an id on."""
    everything = [ticket(number) for number in range(1, count + 1)]
    return lambda asked: {"items": [one for one in everything if one["id"] > int(asked.query["after"])][:size]}


def ticket(number: int, **more: Any) -> dict[str, Any]:
    made = {"id": number, "owner": "7", "subject": f"Ticket {number}", "created_at": "2026-10-01T10:00:00Z"}
    return {**made, **more}


def test_a_filter_by_person_is_not_a_wall(stand: StandIn) -> None:
    """Fact 1: a look-up finds substrings. Only the hit that has exactly the asked address counts."""
    hits = [{"id": 7, "address": "ann@example.test"}, {"id": 8, "address": "joann@example.test"}]
    stand.on("/users")(lambda _asked: {"users": [*hits, {"id": 9, "address": None}, {"id": 10}]})

    found = open_source(DESK, stand.url).identities(person())

    assert found == (Identity("desk", "desk_user", "7", verified=True),)


@pytest.mark.parametrize(
    ("hits", "confirm"),
    [
        ({"error": "quota"}, ""),
        ({"users": [{"id": 7, "mail": "ann@example.test"}]}, ""),
        ({"users": [{"id": 7}]}, 'confirm = "/users/{value}"\n'),
    ],
)
def test_a_look_up_whose_hits_have_no_address_is_refused(stand: StandIn, hits: dict[str, Any], confirm: str) -> None:
    """An error with status 200, or a renamed address: the source would have no one, without a word."""
    stand.on("/users")(lambda _asked: hits)
    stand.on("/users/7")(lambda _asked: {"id": 7, "mail": "ann@example.test"})
    text = DESK.replace('items = "users"\n', f'items = "users || @"\n{confirm}')

    with pytest.raises(SourceRefused, match=r"look-up by email: .*: no item has what `verify` names: address$"):
        open_source(text, stand.url).identities(person())


@pytest.mark.parametrize("nothing", [{"users": []}, {"users": None}, {"users": {}}])
def test_a_look_up_without_hits_finds_no_one(stand: StandIn, nothing: dict[str, Any]) -> None:
    """Null and an empty object do not count."""
    stand.on("/users")(lambda _asked: nothing)
    assert open_source(DESK, stand.url).identities(person()) == ()


def test_records_of_other_people_in_a_list_are_left_out(stand: StandIn) -> None:
    """Fact 1: a source that ignores the filter gives everyone's records; those of others never come through."""
    stand.on("/tickets")(
        lambda asked: {"items": [ticket(1), ticket(2, owner="8")] if asked.query["after"] == "0" else []}
    )

    assert ids_of(records_of(open_source(DESK, stand.url), "tickets")) == ["1"]


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("x' OR id > 0 OR Subject='y@example.test", r"Requestor = 'x\' OR id > 0 OR Subject=\'y@example.test'"),
        ("back\\slash'@example.test", r"Requestor = 'back\\slash\'@example.test'"),
        ("per%cent*@example.test", "Requestor = 'per%cent*@example.test'"),
        (f"{'a' * 308}@example.test", f"Requestor = '{'a' * 308}@example.test'"),
    ],
)
def test_values_are_quoted_by_the_grammar(stand: StandIn, address: str, query: str) -> None:
    """Fact 2: a crafted address gave the tickets of all customers. Within a query it is one quoted text."""
    text = DESK.replace("query = '{email}'", r"query = '''Requestor = {email|quoted:'\}'''")

    open_source(text, stand.url).identities(person(address))

    assert stand.asked[0].query["query"] == query


def test_a_value_within_a_query_needs_a_filter() -> None:
    """Fact 2: a map that puts a value into a query as it is is refused, at its line."""
    text = DESK.replace("query = '{email}'", "query = 'Requestor = {email}'")

    with pytest.raises(BadMap, match=r"test\.toml:9:1: \{email\} stands within a text: a filter must quote it"):
        map_of(text)


def test_a_value_with_control_characters_is_refused(stand: StandIn) -> None:
    """Fact 2: no grammar has a quoting for NUL; the value is not sent, and not shown."""
    text = DESK.replace("query = '{email}'", r"query = '''Requestor = {email|quoted:'\}'''")

    with pytest.raises(SourceRefused, match="a value cannot be asked for: `quoted`: the value has control characters"):
        open_source(text, stand.url).identities(person("a\0b@example.test"))
    assert stand.asked == []


@pytest.mark.parametrize(
    "found", ["ÄNN@example.test", "ann@example.test.evil.test", "ann@ex\u0430mple.test", "nn@example.test"]
)
def test_similar_addresses_are_other_people(stand: StandIn, found: str) -> None:
    """Fact 3: a database takes accents, and some letters of other scripts, for equal. The bytes decide."""
    stand.on("/users")(lambda _asked: {"users": [{"id": 7, "address": found}]})

    assert open_source(DESK, stand.url).identities(person()) == ()


def test_an_address_is_asked_for_as_stored_and_folded(stand: StandIn) -> None:
    """Fact 4: some sources compare exactly, others fold. Both spellings are asked for; one hit counts once."""
    known = {"Ann@Example.test": 7, "ann@example.test": 7}
    stand.on("/users")(
        lambda asked: {"users": [{"id": known[asked.query["query"]], "address": asked.query["query"].upper()}]}
    )

    found = open_source(DESK, stand.url).identities(person("Ann@Example.test"))

    assert [asked.query["query"] for asked in stand.asked] == ["Ann@Example.test", "ann@example.test"]
    assert [one.value for one in found] == ["7"]


def test_phone_numbers_are_equal_by_all_digits(stand: StandIn) -> None:
    """Fact 4: a source gives +49 30 123456 back as 4930123456. The last digits alone are another person's."""
    text = DESK.replace('from = "email"', 'from = "phone"').replace('"address" = "email"', '"address" = "phone"')
    text = text.replace("'{email}'", "'{phone|digits}'")
    numbers = ["4930123456", "+49 (30) 123456", "30123456", "123456", "14930123456"]
    stand.on("/users")(lambda _asked: {"users": [{"id": n, "address": number} for n, number in enumerate(numbers)]})
    subject = person("ann@example.test", Identity("account", "phone", "+4930123456", verified=True))

    assert [one.value for one in open_source(text, stand.url).identities(subject)] == ["0", "1"]


def test_a_subject_that_is_not_found_is_not_an_outage(stand: StandIn) -> None:
    """Fact 5: `not found` is an answer, also as 404 where the map says so; an outage is an error."""
    text = DESK.replace('items = "users"', 'items = "users"\nnone_on = [404]')
    stand.on("/users")(lambda _asked: None)
    exporter = open_source(text, stand.url)

    assert exporter.knows(person()) is False
    assert records_of(exporter, "tickets") == []

    stand.on("/users")(lambda _asked: (500, {}, {}))
    with pytest.raises(SourceUnavailable, match="the source answers 500"):
        exporter.knows(person())


@pytest.mark.parametrize("page", ['kind = "cursor", next = "end"', 'kind = "cursor", next = "end", more = "more"'])
def test_an_empty_page_is_not_the_end(stand: StandIn, page: str) -> None:
    """Fact 6: a page whose items are all filtered out is empty, and the list continues; totals may be null."""
    pages = {
        "": {"items": [ticket(1)], "end": "b", "more": True, "total": None},
        "b": {"items": [], "end": "c", "more": True, "total": 0.0},
        "c": {"items": [ticket(2)], "more": False},
    }
    stand.on("/tickets")(lambda asked: pages[asked.query.get("after", "")])
    text = DESK.replace('kind = "key", key = "id", start = 0, until_empty = true', page)

    assert ids_of(records_of(open_source(text, stand.url), "tickets")) == ["1", "2"]


def test_a_page_that_is_cut_silently_is_not_the_end(stand: StandIn) -> None:
    """Fact 6: a source gives fewer items than were asked for. A short page ends nothing."""
    stand.on("/tickets")(tickets(25, size=7))

    assert ids_of(records_of(open_source(DESK, stand.url), "tickets")) == [str(n) for n in range(1, 26)]


def test_key_paging_survives_changes_of_the_list(stand: StandIn) -> None:
    """Fact 7: records that come and go shift pages, and no key: nothing is lost or doubled."""
    everything = {number: ticket(number) for number in range(1, 31)}

    def page(asked: Asked) -> Any:
        after = int(asked.query["after"])
        found = [everything[one] for one in sorted(everything) if one > after][:10]
        everything.pop(after - 5, None)
        everything[100] = ticket(100)
        return {"items": found}

    stand.on("/tickets")(page)

    assert ids_of(records_of(open_source(DESK, stand.url), "tickets")) == [*map(str, range(1, 31)), "100"]


@pytest.mark.parametrize("kind", ["number", "offset"])
def test_numbered_pages_are_read_again_when_the_list_shrinks(stand: StandIn, kind: str) -> None:
    """Fact 7: a deleted record moves the others to pages that were read. The total shows it; nothing is lost."""
    everything = [ticket(number) for number in range(1, 31)]

    def page(asked: Asked) -> Any:
        place = int(asked.query["after"])
        at = 10 * (place - 1) if kind == "number" else place
        found = {"items": everything[at : at + 10], "total": len(everything)}
        if at == 0 and len(everything) == 30:
            del everything[0:3]
        return found

    stand.on("/tickets")(page)
    text = DESK.replace('kind = "key", key = "id", start = 0', f'kind = "{kind}", total = "total"')

    assert ids_of(records_of(open_source(text, stand.url), "tickets")) == [str(n) for n in range(1, 31)]


def test_numbered_pages_give_no_record_twice_when_the_list_grows(stand: StandIn) -> None:
    """Fact 7: a new record at the beginning moves the others to later pages: they come again, and are given once."""
    everything = [ticket(number) for number in range(1, 21)]

    def page(asked: Asked) -> Any:
        at = 5 * (int(asked.query["after"]) - 1)
        found = everything[at : at + 5]
        everything.insert(0, ticket(100 + at, created_at="2026-11-02T00:00:00Z"))
        return {"items": found}

    stand.on("/tickets")(page)
    text = DESK.replace('kind = "key", key = "id", start = 0', 'kind = "number"')
    found = ids_of(records_of(open_source(text, stand.url), "tickets", selection=Selection(began_at=BEGAN_AT)))

    assert found == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize(
    ("form", "zone", "stated"),
    [
        ("rfc3339", "UTC", "2026-10-01T12:00:00+02:00"),
        ("rfc3339", "Europe/Berlin", "2026-10-01T12:00:00"),
        ("pattern:%Y-%m-%d.%H:%M:%S", "America/New_York", "2026-10-01.06:00:00"),
        ("epoch_seconds", "UTC", 1790848800),
        ("epoch_ms", "UTC", 1790848800000),
        ("rfc2822", "UTC", "Thu, 01 Oct 2026 10:00:00 +0000"),
    ],
)
def test_times_are_read_by_declared_format_and_zone(stand: StandIn, form: str, zone: str, stated: Any) -> None:
    """Fact 8: sources write times in many formats, and some without zone. The archive has UTC."""
    stand.on("/tickets")(lambda asked: {"items": [ticket(1, created_at=stated)] if asked.query["after"] == "0" else []})
    text = DESK.replace("[[identity]]", f'[times]\nformat = "{form}"\nzone = "{zone}"\n[[identity]]')

    found = records_of(open_source(text, stand.url), "tickets")

    assert [one["created_at"] for one in found] == ["2026-10-01T10:00:00.000000Z"]


def test_the_engine_bounds_times_itself(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fact 8: a filter by time in the source may read another zone. The engine compares, and asks for no time."""
    stand.on("/tickets")(
        lambda asked: {
            "items": [
                ticket(1, created_at="2026-09-30T23:59:59Z"),
                ticket(2, created_at="2026-10-01T00:00:00Z"),
                ticket(3, created_at="2026-10-31T23:59:59Z"),
                ticket(4, created_at="2026-11-02T00:00:00Z"),
                ticket(5, created_at="2999-01-01T00:00:00Z"),
                ticket(6, created_at=None),
            ]
            if asked.query["after"] == "0"
            else []
        }
    )
    exporter = open_source(DESK, stand.url)
    since = datetime(2026, 10, 1, tzinfo=UTC)

    assert ids_of(records_of(exporter, "tickets", selection=Selection(since=since, until=BEGAN_AT))) == ["2", "3", "6"]
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()), selection=Selection(began_at=BEGAN_AT))
    assert ids_of(batch.records) == ["1", "2", "3", "5", "6"]
    assert batch.remarks == {RowRemark.CREATED_IN_FUTURE: [3]}
    set_wrong(monkeypatch, records, levels, days=-300)  # the clock of a worker that is behind
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()), selection=Selection(began_at=BEGAN_AT))
    assert batch.remarks == {RowRemark.CREATED_IN_FUTURE: [3, 4]}
    assert all(set(asked.query) <= {"query", "owner", "after"} for asked in stand.asked)


@pytest.mark.parametrize(("minutes", "given"), [(5, ["1", "2"]), (0, ["1"]), (-5, ["1"])])
def test_a_source_whose_clock_is_ahead_lacks_no_record(stand: StandIn, minutes: int, given: list[str]) -> None:
    """Its `Date` is 5 minutes ahead, so a record of a minute before the export began has a time 4 minutes after that.

    Where the clocks are equal, or that of the source is behind, such a record was made after the beginning.
    """
    present = datetime.now(UTC)
    began_at = present - timedelta(minutes=10)
    times = {1: began_at - timedelta(days=1), 2: began_at + timedelta(minutes=4), 3: began_at + timedelta(minutes=6)}
    rows = [ticket(number, created_at=at.isoformat()) for number, at in times.items()]
    date = format_datetime(present + timedelta(minutes=minutes), usegmt=True)
    stand.on("/tickets")(lambda asked: (200, {"Date": date}, {"items": rows if asked.query["after"] == "0" else []}))

    found = records_of(open_source(DESK, stand.url), "tickets", selection=Selection(began_at=began_at))

    assert ids_of(found) == given


FILES = DESK.replace(
    "[dataset.fields]",
    '[dataset.file]\nget = "/files/{id}"\nresume = "RESUME"\nmost_bytes = 3000\nmedia_type = "type"\nbytes = "size"\n'
    "[dataset.fields]",
)
CONTENT = bytes(range(256)) * 10


@pytest.mark.parametrize("resume", ["range", "restart"])
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_files_are_read_from_any_byte(stand: StandIn, resume: str, *, knows_ranges: bool) -> None:
    """Fact 9: few sources know ranges, and some answer a range with the whole file. The bytes are the same."""

    def content(asked: Asked) -> Any:
        wanted = asked.heard.headers.get("range")
        if wanted is None or not knows_ranges:
            return 200, {"ETag": '"1"'}, CONTENT
        begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        head = {"ETag": '"1"', "Content-Range": f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        return 206, head, CONTENT[begin:]

    stand.on("/files/1")(content)
    stand.on("/tickets")(
        lambda asked: {"items": [ticket(1, type="image/png; x=y")] if asked.query["after"] == "0" else []}
    )
    exporter = open_source(FILES.replace("RESUME", resume), stand.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))
    (file,) = batch.files

    assert (file.name, file.media_type, file.size) == ("1.png", "image/png", None)
    assert batch.records[0]["file"] == "1.png"
    assert b"".join(file.open(0)) == CONTENT
    assert b"".join(file.open(1000)) == CONTENT[1000:]
    assert ("range" in stand.asked[-1].heard.headers) == (resume == "range")


def test_a_file_is_bounded_and_its_version_watched(stand: StandIn) -> None:
    """Fact 9: declared sizes may be wrong. More bytes than the map allows, and another version, are faults."""
    stand.on("/tickets")(lambda asked: {"items": [ticket(1, size="5")] if asked.query["after"] == "0" else []})
    exporter = open_source(FILES.replace("RESUME", "restart"), stand.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))
    (file,) = batch.files
    stand.on("/files/1")(lambda _asked: (200, {"ETag": '"1"'}, b"0" * 3001))

    assert file.size == 5
    with pytest.raises(SourceRefused, match="the file is larger than 3000 bytes"):
        list(file.open(0))
    stand.on("/files/1")(lambda _asked: (200, {"ETag": '"2"'}, b"0"))
    with pytest.raises(SourceUnavailable, match="the file has changed while it was read"):
        list(file.open(0))


@pytest.mark.parametrize("status", [201, 202, 204, 205])
def test_an_answer_without_the_file_is_no_empty_file(stand: StandIn, status: int) -> None:
    """A source that has not prepared the file yet says so by its status; its few bytes are not the file."""
    stand.on("/tickets")(lambda asked: {"items": [ticket(1)] if asked.query["after"] == "0" else []})
    stand.on("/files/1")(lambda _asked: (status, {}, b""))
    exporter = open_source(FILES.replace("RESUME", "restart"), stand.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    with pytest.raises(SourceUnavailable, match=f"^tickets/1: the source answers {status}(, without the file)?$"):
        list(batch.files[0].open(0))


@pytest.mark.parametrize("answered", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_page_to_sign_in_is_no_file(stand: StandIn, answered: str) -> None:
    """A source whose session has ended answers 200 with a page. It is the file only where the file may be a page."""
    page = b"<!doctype html><title>Sign in</title>"
    types = {1: "application/pdf", 2: "text/html", 3: None}
    stand.on("/tickets")(
        lambda asked: {
            "items": [ticket(n, type=one) for n, one in types.items()] if asked.query["after"] == "0" else []
        }
    )
    stand.on("/files/*")(lambda _asked: (200, {"Content-Type": answered}, page))
    exporter = open_source(FILES.replace("RESUME", "restart"), stand.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))
    first, *others = batch.files

    with pytest.raises(
        SourceRefused, match=r"^tickets/1: the source answers with a page .* the file is application/pdf"
    ):
        list(first.open(0))
    assert [b"".join(one.open(0)) for one in others] == [page, page]


def test_a_file_may_be_base64_within_json(stand: StandIn) -> None:
    """Fact 9: some sources give files only as base64 within JSON."""
    stand.on("/files/1")(lambda _asked: {"Content": base64.b64encode(CONTENT).decode()})
    stand.on("/tickets")(lambda asked: {"items": [ticket(1)] if asked.query["after"] == "0" else []})
    text = FILES.replace('resume = "RESUME"', 'content = "Content"')
    exporter = open_source(text, stand.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    assert b"".join(batch.files[0].open(0)) == CONTENT
    assert b"".join(batch.files[0].open(2550)) == CONTENT[2550:]


BATCHED = """
[[links]]
name = "note_ids"
for_each = "desk_user"
post = "/links"
body = { inputs = [{ id = "{desk_user}", after = "{after}" }] }
items = "results"
scoped = true
page = { kind = "cursor", next = "next" }
gives = "to"

[[dataset]]
name = "notes"
title = "Notes"
description = "Notes about you."
provenance = "observed"
parent = "note_ids"
batch = 100
post = "/notes"
body = { inputs = "{ids}", properties = "{fields}" }
items = "results"
[dataset.fields]
id = { text = "Identifier." }
text = { at = "properties.body", text = "Text.", person = "note" }
"""


def test_related_records_are_read_in_batches(stand: StandIn) -> None:
    """Fact 10: one call a record is the cost. 250 notes are five calls, and a note that is missing is a gap."""
    everything = [str(number) for number in range(1, 251)]

    def links(asked: Asked) -> Any:
        begin = int(asked.body["inputs"][0].get("after", "n0").removeprefix("n"))
        following = {"next": f"n{begin + 200}"} if begin + 200 < len(everything) else {}
        return {"results": [{"to": int(one)} for one in everything[begin : begin + 200]], **following}

    def notes(asked: Asked) -> Any:
        assert asked.body["properties"] == ["body"]
        return {
            "results": [
                {"id": one, "properties": {"body": f"Note {one}"}} for one in asked.body["inputs"] if one != "3"
            ]
        }

    stand.on("/links")(links)
    stand.on("/notes")(notes)
    exporter = open_source(DESK + BATCHED, stand.url)
    subject = resolved(exporter, person())
    stand.asked.clear()
    (batch,) = batches_of(exporter, "notes", subject)

    assert ids_of(batch.records) == [one for one in everything if one != "3"]
    assert [(gap.what, gap.reason) for gap in batch.gaps] == [("notes/3", "missing")]
    assert stand.paths() == ["/links", "/notes", "/notes", "/links", "/notes"]


def test_a_rotating_refresh_token_is_stored_before_it_is_used(stand: StandIn) -> None:
    """Fact 11: a source accepts each refresh token once. The new pair is stored, and all readers use it."""
    valid = {"refresh": "first", "access": ""}

    def token(asked: Asked) -> Any:
        sent = dict(one.split("=") for one in asked.heard.body.decode().split("&"))
        if sent["refresh_token"] != valid["refresh"]:
            return 400, {}, {"error": "invalid_grant"}
        number = len(stand.asked)
        valid.update(refresh=f"refresh{number}", access=f"access{number}")
        return {"access_token": valid["access"], "refresh_token": valid["refresh"], "expires_in": 1800}

    def login(asked: Asked) -> Any:
        is_in = asked.path == "/token" or asked.heard.headers.get("authorization") == f"Bearer {valid['access']}"
        return None if is_in else (401, {}, {})

    stand.before = login
    stand.on("/token")(token)
    auth = {
        "kind": "oauth2_refresh",
        "token_url": f"{stand.url}/token",
        "client_id": "us",
        "client_secret": "env:DESK_SECRET",
        "refresh_token": "env:DESK_TOKEN",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_SECRET", "secret")
        patch.setenv("DESK_TOKEN", "first")
        shared = memory_sources()
        first = open_source(DESK, stand.url, shared, auth=auth)
        second = open_source(DESK, stand.url, shared, auth=auth)
        for exporter in (first, second, first):
            assert len(exporter.identities(person())) == 1
    assert stand.paths().count("/token") == 1
    stored = json.loads(shared.shared.secrets["desk"])  # type: ignore[attr-defined]  # the state of tests
    assert (stored["refresh_token"], stored["access_token"]) == (valid["refresh"], valid["access"])

    valid["access"] = "revoked by the vendor"
    assert len(second.identities(person())) == 1
    assert stand.paths().count("/token") == 2


@pytest.mark.parametrize("deleted", ["deleted_at", "state == 'deleted'"])
def test_deleted_records_are_delivered_and_marked(stand: StandIn, deleted: str) -> None:
    """Fact 12: a source may still give what was deleted in it. It is delivered, and marked."""
    gone = ticket(2, subject=None, deleted_at="2026-10-02T00:00:00Z", state="deleted")
    stand.on("/tickets")(lambda asked: {"items": [ticket(1), gone] if asked.query["after"] == "0" else []})
    text = DESK.replace('created = "created_at"', f'created = "created_at"\ndeleted = "{deleted}"')
    exporter = open_source(text, stand.url)

    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    assert batch.remarks == {RowRemark.SOFT_DELETED: [1]}


def test_a_time_that_is_not_set_deletes_nothing(stand: StandIn) -> None:
    """Fact 12: a vendor that writes the begin of 1970 for `never` says so in `unset`: nothing is marked or past."""
    never = ticket(1, deleted_at="1970-01-01T00:00:00.000Z")
    gone = ticket(2, deleted_at="2026-10-02T00:00:00Z")
    stand.on("/tickets")(lambda asked: {"items": [never, gone] if asked.query["after"] == "0" else []})
    retained = 'deleted = "deleted_at"\nretention = { until = "deleted_at" }'
    text = DESK.replace('created = "created_at"', f'created = "created_at"\n{retained}')
    exporter = open_source(f'times = {{ unset = ["1970-01-01T00:00:00Z"] }}\n{text}', stand.url)

    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()), selection=Selection(began_at=BEGAN_AT))
    assert batch.remarks == {RowRemark.SOFT_DELETED: [1], RowRemark.PAST_RETENTION: [1]}


def test_a_date_to_retry_after_is_by_the_clock_of_the_source(stand: StandIn) -> None:
    """A source whose clock is five hours off: the wait is the time between its own two dates."""
    refused = iter([True])

    def limit(_asked: Asked) -> Any:
        if next(refused, False):
            now = datetime.now(UTC) - timedelta(hours=5)
            later = format_datetime(now + timedelta(seconds=1), usegmt=True)
            return 429, {"Retry-After": later, "Date": format_datetime(now, usegmt=True)}, {}
        return None

    stand.before = limit

    assert len(open_source(DESK, stand.url).identities(person())) == 1
    assert len(stand.asked) == 2


def test_the_exporter_fulfils_the_contract(stand: StandIn) -> None:
    """The public suite: two readings, each cursor, fewer fields, other subjects."""
    exporter = open_source(DESK, stand.url)

    check_exporter(exporter, resolved(exporter, person()))
