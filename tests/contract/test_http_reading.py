"""Readings of HTTP sources: places at every level, unions, windows, hooks, and what a kill leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import pytest
from http_sources import (
    Asked,
    StandIn,
    batches_of,
    ids_of,
    open_source,
    person,
    records_of,
    resolved,
    stand_in,
)
from listener import Heard, Reply

from exporters.http import batches
from exporters.http.asking import HookCalls
from exporters.http.client import SourceClient
from exporters.http.hooks import Ask, HookPage
from exporters.http.templates import Names
from exporters.http.waits import TimeBudget
from portability.api import Identity, Record, Selection
from portability.api.errors import ExporterFault, SourceRefused
from portability.testing import check_exporter

TREE = """
title = "Help desk"
role = "controller"
kinds = ["user", "email"]

[[identity]]
from = "email"
get = "/users"
params = { email = "{email}" }
verify = { "email" = "email" }
gives = "desk_user"

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Requests that you sent."
provenance = "provided"
for_each = "desk_user"
get = "/users/{desk_user}/tickets"
params = { cursor = "{after}" }
items = "items"
scoped = true
page = { kind = "cursor", next = "next" }
[dataset.fields]
id = { text = "Identifier." }

[[dataset]]
name = "messages"
title = "Messages"
description = "Messages in your tickets."
provenance = "provided"
parent = "tickets"
get = "/tickets/{tickets.id}/messages"
items = "items"
keep = [{ at = "kind", among = ["public"] }]
page = { kind = "link", next = "links.next" }
[dataset.fields]
id = { text = "Identifier." }
ticket_id = { at = "parent:id", text = "Its ticket." }

[[dataset]]
name = "files"
title = "Files"
description = "Files of messages."
provenance = "provided"
parent = "messages"
each = "file_ids"
batch = 2
get = "/files"
params = { ids = "{ids}" }
items = "files"
key = ["message_id", "id"]
[dataset.fields]
id = { text = "Identifier." }
message_id = { at = "parent:id", text = "Its message." }
"""


class Tree:
    """A desk with 5 tickets a user, each with 5 messages in pages of 2, each with 3 files."""

    def __init__(self, server: StandIn) -> None:
        self.server = server
        self.expired: set[str] = set()
        self.gone: set[str] = set()
        self.users = [{"id": 1, "email": "ann@example.test"}]
        server.on("/users")(lambda asked: [one for one in self.users if one["email"] == asked.query["email"]])
        server.on("/users/*")(self.tickets)
        server.on("/tickets/*")(self.messages)
        server.on("/files")(self.files)

    def tickets(self, asked: Asked) -> Any:
        user = asked.path.split("/")[2]
        if user not in {str(one["id"]) for one in self.users}:
            return {"items": []}
        place = asked.query.get("cursor", "0")
        if place in self.expired:
            return 410, {}, {"message": "the cursor has expired"}
        ids = [one for one in (f"t{user}{n}" for n in range(5)) if one not in self.gone]
        begin = int(place.partition("-")[0])
        more = {"next": f"{begin + 2}-{len(self.expired)}"} if begin + 2 < len(ids) else {}
        return {"items": [{"id": one} for one in ids[begin : begin + 2]], **more}

    def messages(self, asked: Asked) -> Any:
        ticket = asked.path.split("/")[2]
        begin = int(asked.query.get("from", 0))
        items = [
            {"id": f"{ticket}m{n}", "kind": "public" if n != 1 else "note", "file_ids": [1, 2, 10]} for n in range(5)
        ]
        following = f"{self.server.url}/tickets/{ticket}/messages?from={begin + 2}"
        return {"items": items[begin : begin + 2], "links": {"next": following if begin + 2 < 5 else None}}

    @staticmethod
    def files(asked: Asked) -> Any:
        return {"files": [{"id": one} for one in asked.query["ids"].split(",")]}


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """Every page is a batch of its own."""
    monkeypatch.setattr(batches, "BATCH_RECORDS", 1)
    with stand_in() as server:
        yield Tree(server)


TICKETS = [f"t1{n}" for n in range(5)]
MESSAGES = [f"{ticket}m{n}" for ticket in TICKETS for n in (0, 2, 3, 4)]
FILES = [(message, one) for message in MESSAGES for one in ("1", "2", "10")]


def keys_of(records: Sequence[Record]) -> list[Any]:
    return [(one["message_id"], one["id"]) if "message_id" in one else one["id"] for one in records]


@pytest.mark.parametrize(("name", "expected"), [("tickets", TICKETS), ("messages", MESSAGES), ("files", FILES)])
def test_reading_continues_after_every_batch(tree: Tree, name: str, expected: list[Any]) -> None:
    """Each cursor has a place at each level: what follows it is exactly what is left."""
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    batches_read = batches_of(exporter, name, subject)
    begun: list[Any] = []
    for batch in batches_read:
        begun += keys_of(batch.records)
        rest = [
            key for left in batches_of(exporter, name, subject, after=batch.cursor) for key in keys_of(left.records)
        ]
        assert [*begun, *rest] == expected
    assert len(batches_read) >= 3


def test_children_are_continued_without_reading_finished_parents(tree: Tree) -> None:
    """A place names the page of the parents and the parent in it: earlier parents are not asked for their children."""
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    batches_read = batches_of(exporter, "messages", subject)
    after = next(batch.cursor for batch in batches_read if "t12m4" in ids_of(batch.records))
    tree.server.asked.clear()
    batches_of(exporter, "messages", subject, after=after)

    assert sorted({path for path in tree.server.paths() if path.startswith("/tickets/")}) == [
        "/tickets/t13/messages",
        "/tickets/t14/messages",
    ]


@pytest.mark.parametrize("name", ["tickets", "messages"])
def test_an_expired_place_begins_the_list_again(tree: Tree, name: str) -> None:
    """A vendor's token lives for minutes, our cursor for days: the list is read again, without what was given."""
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    whole = [key for batch in batches_of(exporter, name, subject) for key in keys_of(batch.records)]
    begun: list[Any] = []
    for batch in batches_of(exporter, name, subject):
        begun += keys_of(batch.records)
        tree.expired = {"2-0", "4-0"}
        rest = [
            key for left in batches_of(exporter, name, subject, after=batch.cursor) for key in keys_of(left.records)
        ]
        tree.expired = set()
        assert [*begun, *rest] == whole


def test_an_expired_place_whose_record_is_gone_continues_after_the_record_before(tree: Tree) -> None:
    """The last record that was given may be deleted meanwhile: a place remembers the three before it."""
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    second = batches_of(exporter, "tickets", subject)[1]
    tree.expired, tree.gone = {"4-0"}, {"t13"}

    assert ids_of(records_of(exporter, "tickets", subject, after=second.cursor)) == ["t14"]
    tree.gone = {"t11", "t12", "t13"}
    with pytest.raises(
        SourceRefused, match="the place of the last page has expired, and the records before it are gone"
    ):
        records_of(exporter, "tickets", subject, after=second.cursor)


def test_two_records_of_a_person_give_no_record_twice(tree: Tree) -> None:
    """A person with two accounts: a ticket that both lead to comes once, also when reading continues."""
    tree.users = [{"id": 1, "email": "ann@example.test"}, {"id": 2, "email": "ann@example.test"}]
    tree.server.on("/users/2/tickets")(lambda _asked: {"items": [{"id": "t11"}, {"id": "t29"}, {"id": "t14"}]})
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    expected = [*TICKETS, "t29"]
    begun: list[Any] = []
    for batch in batches_of(exporter, "tickets", subject):
        begun += ids_of(batch.records)
        assert [*begun, *ids_of(records_of(exporter, "tickets", subject, after=batch.cursor))] == expected
    messages = [one["id"] for one in records_of(exporter, "messages", subject)]
    assert len(messages) == len(set(messages)) == 4 * 6


@pytest.mark.parametrize("value", [{"id": 1}, 1.5, True, ["1"]])
def test_a_value_that_names_no_child_is_a_refusal(tree: Tree, value: Any) -> None:
    """A source that lists objects where the map says ids are: its files are refused, not missing without a word."""
    tree.server.on("/tickets/*")(
        lambda asked: {"items": [{"id": f"{asked.path}m", "kind": "public", "file_ids": [1, None, value]}]}
    )

    with pytest.raises(SourceRefused, match="files: a value of `each` is neither text nor integer"):
        records_of(open_source(TREE, tree.server.url), "files")


def test_a_union_gives_no_record_twice(tree: Tree) -> None:
    """Two lists of one dataset, such as calls to and from a number: a record in both comes once."""
    text = TREE.partition("[[dataset]]")[0] + (
        '[[dataset]]\nname = "calls"\ntitle = "Calls"\ndescription = "Calls."\nprovenance = "observed"\n'
        'for_each = "phone"\nscoped = true\nunion = [{ get = "/calls", params = { To = "{phone}" } }, '
        '{ get = "/calls", params = { From = "{phone}" } }]\n[dataset.fields]\nid = { text = "Identifier." }\n'
    )
    to, of = [{"id": n} for n in (1, 2, 3)], [{"id": n} for n in (3, 4, 1)]
    tree.server.on("/calls")(lambda asked: to if "To" in asked.query else of)
    exporter = open_source(text, tree.server.url)
    subject = person("ann@example.test", Identity("account", "phone", "+4930123456", verified=True))
    first, second = batches_of(exporter, "calls", subject)

    assert (ids_of(first.records), ids_of(second.records)) == (["1", "2", "3"], ["4"])
    assert ids_of(records_of(exporter, "calls", subject, after=first.cursor)) == ["4"]


def test_the_next_page_may_be_in_a_header(tree: Tree) -> None:
    """RFC 8288: the link with the relation `next`, among others and in any order."""

    def page(asked: Asked) -> Any:
        number = int(asked.query.get("page", 1))
        links = f'<{tree.server.url}/users/1/tickets?page=1>; rel="first"'
        if number < 3:
            links += f', </users/1/tickets?page={number + 1}>; title="x"; rel="next"'
        return 200, {"Link": links}, {"items": [{"id": number}]}

    tree.server.on("/users/1/tickets")(page)
    text = TREE.replace('kind = "cursor", next = "next"', 'kind = "link", header = true')
    text = text.replace('params = { cursor = "{after}" }\n', "")

    assert ids_of(records_of(open_source(text, tree.server.url), "tickets")) == ["1", "2", "3"]


def test_windows_of_time_cover_everything_once(tree: Tree) -> None:
    """A list of limited length is read in windows; a record at a bound comes once, though both windows contain it."""
    text = TREE.partition("[[dataset]]")[0] + (
        '[[dataset]]\nname = "calls"\ntitle = "Calls"\ndescription = "Calls."\nprovenance = "observed"\n'
        'for_each = "desk_user"\nget = "/calls"\nparams = { since = "{since}", until = "{until}" }\nscoped = true\n'
        'window = { at = "at", start = "2026-01-01", days = 31, format = "epoch_seconds" }\n'
        '[dataset.fields]\nid = { text = "Identifier." }\n'
    )
    times = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, 0, 1, tzinfo=UTC)]
    calls = [{"id": n, "at": moment.isoformat(), "on": moment.timestamp()} for n, moment in enumerate(times)]
    tree.server.on("/calls")(
        lambda asked: [one for one in calls if float(asked.query["since"]) <= one["on"] <= float(asked.query["until"])]  # type: ignore[operator]
    )
    exporter = open_source(text, tree.server.url)
    subject = resolved(exporter, person())
    selection = Selection(began_at=datetime(2026, 3, 15, tzinfo=UTC))
    first, *others = batches_of(exporter, "calls", subject, selection=selection)

    assert ids_of(first.records) == ["0"]
    assert [ids_of(other.records) for other in others] == [["1", "2"]]
    assert tree.server.paths().count("/calls") == 3
    assert ids_of(records_of(exporter, "calls", subject, after=first.cursor, selection=selection)) == ["1", "2"]


@pytest.mark.parametrize(
    ("minutes", "more", "given"),
    [(0, "", ["past"]), (9, "", ["past", "late"]), (0, ", ahead_days = 40", ["past", "late", "planned"])],
)
def test_a_window_begins_as_soon_as_a_record_may_be_in_it(
    tree: Tree, minutes: int, more: str, given: list[str]
) -> None:
    """The source's own day has begun if its clock is ahead; and `ahead_days` says how far ahead its records are."""
    text = TREE.partition("[[dataset]]")[0] + (
        '[[dataset]]\nname = "calls"\ntitle = "Calls"\ndescription = "Calls."\nprovenance = "observed"\n'
        'for_each = "desk_user"\nget = "/calls"\nparams = { since = "{since}", until = "{until}" }\nscoped = true\n'
        f'window = {{ at = "at", start = "2026-03-10", days = 7{more} }}\nfields.id = {{ text = "Identifier." }}\n'
    )
    began_at = datetime(2026, 3, 16, 23, 58, tzinfo=UTC)
    at = {"past": "2026-03-11T08:00:00Z", "late": "2026-03-17T00:05:00Z", "planned": "2026-04-10T08:00:00Z"}
    head = {"Date": format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)}
    calls = [{"id": name, "at": moment} for name, moment in at.items()]
    tree.server.on("/calls")(lambda _asked: (200, head, calls))
    exporter = open_source(text, tree.server.url)
    subject = resolved(exporter, person())
    tree.server.asked.clear()

    read = batches_of(exporter, "calls", subject, selection=Selection(began_at=began_at))
    assert [record["id"] for batch in read for record in batch.records] == given
    assert len(tree.server.asked) == {"": 1 + (minutes > 0)}.get(more, 7)
    for number, batch in enumerate(read):
        rest = records_of(exporter, "calls", subject, after=batch.cursor, selection=Selection(began_at=began_at))
        assert ids_of(rest) == given[number + 1 :]


@pytest.mark.parametrize("cursor", ["", "[]", "{}", "[null,null]", '["x"]', "[[1]]"])
def test_an_invalid_cursor_is_a_fault_of_its_sender(tree: Tree, cursor: str) -> None:
    """A cursor is opaque, and comes back as it was given."""
    exporter = open_source(TREE, tree.server.url)

    with pytest.raises(ExporterFault, match="messages: invalid cursor: start again without it"):
        records_of(exporter, "messages", resolved(exporter, person()), after=cursor)


def test_a_cursor_of_another_map_is_refused(tree: Tree) -> None:
    """The levels of a map are the form of its cursors."""
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    cursor = batches_of(exporter, "tickets", subject)[0].cursor

    with pytest.raises(ExporterFault, match="the map has changed"):
        records_of(exporter, "messages", subject, after=cursor)


def test_a_list_that_never_ends_is_refused(tree: Tree) -> None:
    """A page that names itself as the next page, and more pages than the map allows, are faults of the source."""
    tree.server.on("/users/1/tickets")(lambda _asked: {"items": [{"id": "a"}], "next": "same"})
    with pytest.raises(SourceRefused, match="the next page is the same page again"):
        records_of(open_source(TREE, tree.server.url), "tickets")

    pages = iter(range(100))
    tree.server.on("/users/1/tickets")(lambda _asked: {"items": [], "next": str(next(pages))})
    text = TREE.replace("[[identity]]", "[limits]\npages_most = 5\n[[identity]]")
    with pytest.raises(SourceRefused, match="the list has more than 5 pages"):
        records_of(open_source(text, tree.server.url), "tickets")


def test_too_many_hits_are_no_person(tree: Tree) -> None:
    """A look-up that finds half of the source has a wrong filter: nothing is exported."""
    tree.users = [{"id": n, "email": "ann@example.test"} for n in range(21)]

    with pytest.raises(SourceRefused, match="21 records have this identity; the map allows 20"):
        open_source(TREE, tree.server.url).identities(person())


def test_what_was_read_before_a_fault_is_delivered(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the middle costs what comes after it, and reading continues there."""
    monkeypatch.setattr(batches, "BATCH_RECORDS", 500)
    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    works = tree.server.answers["/tickets/*"]
    tree.server.on("/tickets/*")(lambda asked: (403, {}, {}) if "t13" in asked.path else works(asked))
    dataset = next(one for one in exporter.datasets if one.name == "messages")
    reading = exporter.export(subject, dataset, Selection())

    batch = next(reading)
    assert ids_of(batch.records) == MESSAGES[:12]
    with pytest.raises(SourceRefused, match="messages: the source answers 403"):
        next(reading)
    tree.server.on("/tickets/*")(works)
    assert ids_of(records_of(exporter, "messages", subject, after=batch.cursor)) == MESSAGES[12:]


def test_records_are_the_same_behind_a_bad_network(tree: Tree) -> None:
    """Each third call fails: 503, 429, 502, or an answer that is cut. The records are equal, each once."""
    calls = count()
    answer = tree.server.listener.reply

    def fails(heard: Heard) -> Reply:
        match next(calls) % 12:
            case 2:
                return 503, {"Retry-After": "0.01"}, b""
            case 5:
                return 429, {"Retry-After": "0.01"}, b""
            case 8:
                return 502, {}, b"<html>"
            case 11:
                return 200, {"Content-Length": "5000"}, b'{"items": ['
        return answer(heard)

    exporter = open_source(TREE, tree.server.url)
    subject = resolved(exporter, person())
    tree.server.listener.reply = fails

    assert keys_of(records_of(exporter, "messages", subject)) == MESSAGES
    assert keys_of(records_of(exporter, "files", subject)) == FILES
    assert next(calls) > 100


def test_a_value_of_another_type_is_a_gap(tree: Tree) -> None:
    """What a declared type cannot represent becomes null, and the ledger says so; exact decimals keep their digits."""
    text = TREE.replace(
        '[dataset.fields]\nid = { text = "Identifier." }\n',
        '[dataset.fields]\nid = { text = "Identifier." }\nprice = { type = "decimal", text = "Price." }\n'
        'count = { type = "integer", text = "Number." }\nmore = { type = "object", text = "More." }\n',
        1,
    )
    raw = b'{"items": [{"id": 1, "price": 10.10, "count": "12", "more": {"a": 0.5}}, {"id": 2, "count": "x"}]}'
    tree.server.on("/users/1/tickets")(lambda _asked: (200, {}, raw))
    exporter = open_source(text, tree.server.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    assert batch.records == [
        {"id": "1", "price": "10.10", "count": 12, "more": {"a": 0.5}},
        {"id": "2", "price": None, "count": None, "more": None},
    ]
    assert [(gap.what, gap.reason, gap.key, gap.fields) for gap in batch.gaps] == [
        ("tickets/2/count", "not_json", ("2",), ("count",))
    ]


def test_what_is_withheld_is_counted_and_not_delivered(tree: Tree) -> None:
    """The archive says which records have a value that is not delivered; an unlisted value is not read."""
    text = TREE.replace(
        '[dataset.fields]\nid = { text = "Identifier." }\n',
        '[dataset.withheld]\nnote = { what = "a note", reason = "it is about staff", at = "private.note" }\n'
        '[dataset.fields]\nid = { text = "Identifier." }\n',
        1,
    )
    items = [{"id": 1, "private": {"note": "x"}, "unlisted": 5}, {"id": 2, "private": None}]
    tree.server.on("/users/1/tickets")(lambda _asked: {"items": items})
    exporter = open_source(text, tree.server.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    assert batch.records == [{"id": "1"}, {"id": "2"}]
    assert batch.withheld == {"note": [0]}


def test_hooks_read_what_a_map_cannot(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three places: pages of another protocol, an item that code changes, and one item of many records."""

    def pages(ask: Ask, names: Names, after: str | int | None) -> Iterator[HookPage]:
        begin = int(after or 0)
        lines = ask.content("REPORT", f"/report/{names['desk_user']}", body=b"<all/>").decode().split()
        yield HookPage([{"id": one} for one in lines[begin : begin + 2]], begin + 2 if begin + 2 < len(lines) else None)

    def record(item: Mapping[str, Any], parent: Record) -> Mapping[str, Any]:
        return {**item, "id": f"{parent['id']}/{item['id']}"}

    def shape(parent: Record, parts: Mapping[str, Sequence[Record]]) -> Mapping[str, Any]:
        return {"id": parent["id"], "messages": [one["id"] for one in parts["messages"]]}

    found = {"pages": pages, "record": record, "shape": shape}
    monkeypatch.setattr("exporters.http.hooks.load_hook", found.__getitem__)
    text = TREE.replace('get = "/users/{desk_user}/tickets"', 'hooks = { pages = "pages" }')
    text = text.replace('params = { cursor = "{after}" }\n', "").replace(
        'page = { kind = "cursor", next = "next" }\n', ""
    )
    text = text.replace('name = "messages"', 'name = "messages"\nhooks = { record = "record" }')
    text += (
        '[[dataset]]\nname = "whole"\ntitle = "Whole tickets"\ndescription = "All."\nprovenance = "provided"\n'
        'parent = "tickets"\nparts = ["messages"]\nhooks = { shape = "shape" }\n[dataset.fields]\n'
        'id = { text = "Identifier." }\nmessages = { type = "object", text = "All messages." }\n'
    )
    tree.server.listener.reply = reporting(tree)
    exporter = open_source(text, tree.server.url)
    subject = resolved(exporter, person())

    assert ids_of(records_of(exporter, "tickets", subject)) == ["t10", "t11", "t12"]
    assert ids_of(records_of(exporter, "messages", subject))[:2] == ["t10/t10m0", "t10/t10m2"]
    assert records_of(exporter, "whole", subject)[0] == {
        "id": "t10",
        "messages": ["t10/t10m0", "t10/t10m2", "t10/t10m3", "t10/t10m4"],
    }
    second = batches_of(exporter, "tickets", subject)[0].cursor
    assert ids_of(records_of(exporter, "tickets", subject, after=second)) == ["t12"]


def reporting(tree: Tree) -> Any:
    """A server that also knows the method REPORT."""
    return lambda heard: (207, {}, b"t10 t11 t12") if heard.method == "REPORT" else tree.server.reply(heard)


@pytest.mark.parametrize("path", ["/../../admin", "http://evil.test/", "/%2e%2e/admin", "/a/%2E%2E/%2e./admin"])
def test_a_hook_cannot_leave_the_source(tree: Tree, path: str) -> None:
    """The client of hooks obeys the rules of the engine: a path that leaves the base is refused, and not sent."""
    access = open_source(TREE, f"{tree.server.url}/users/1").source.access
    with closing(SourceClient(access)) as client, pytest.raises(SourceRefused):
        HookCalls(client, access.guard, "desk").json(path)
    assert tree.server.asked == []


def test_a_subject_gets_only_what_this_source_found(tree: Tree) -> None:
    """An identity of the same kind that another source found selects nothing, and neither does another tenant's."""
    exporter = open_source(TREE, tree.server.url, tenant="acme")
    foreign = [
        Identity("crm", "desk_user", "1", verified=True),
        Identity("desk", "desk_user", "1", verified=True, tenant="other"),
        Identity("desk", "desk_user", "1", verified=False),
    ]
    for identity in foreign:
        assert records_of(exporter, "tickets", person("ann@example.test", identity)) == []
    own = Identity("desk", "desk_user", "1", verified=True, tenant="acme")
    assert exporter.identities(person()) == (own,)
    assert ids_of(records_of(exporter, "tickets", person("ann@example.test", own))) == TICKETS


def test_the_whole_tree_fulfils_the_contract(tree: Tree) -> None:
    """The public suite, with one page a batch: parents, links within items, and batches of files."""
    exporter = open_source(TREE, tree.server.url)

    check_exporter(exporter, resolved(exporter, person()))
    first = batches_of(exporter, "files", resolved(exporter, person()))[0]
    levels = json.loads(first.cursor.removeprefix("private:"))
    assert levels[-1:] == [None], "all files of the parent are in the batch"


BY_TENANT = """
title = "Help desk"
role = "controller"
kinds = ["user", "email"]
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Requests that you sent."
provenance = "provided"
for_each = "email"
get = "/tickets"
params = { tenant = "{tenant}", cursor = "{after}" }
items = "items"
verify = { "owner" = "email" }
PAGE
fields.id = { text = "Identifier." }
"""
ANN = "ann@example.test"
OF_TWO = person(ANN, Identity("account", "email", ANN, verified=True, tenant="ten_acme"))


def test_an_address_of_two_tenants_has_a_list_of_each(tree: Tree) -> None:
    """A reading of the first list that continues does not skip the beginning of the second."""

    def answer(asked: Asked) -> Any:
        tenant, place = asked.query.get("tenant", "own"), asked.query.get("cursor", "a")
        return {"items": [{"id": f"{tenant} {place}", "owner": ANN}], "next": {"a": "b", "b": "c"}.get(place)}

    tree.server.on("/tickets")(answer)
    text = BY_TENANT.replace("PAGE", 'page = { kind = "cursor", next = "next" }')
    exporter = open_source(text, tree.server.url, tenant="ten_acme")
    expected = ["own a", "own b", "own c", "ten_acme a", "ten_acme b", "ten_acme c"]

    read = batches_of(exporter, "tickets", OF_TWO)
    assert [ids_of(batch.records) for batch in read] == [[one] for one in expected]
    for number, batch in enumerate(read[:-1]):
        rest = records_of(exporter, "tickets", OF_TWO, after=batch.cursor)
        assert ids_of(rest) == expected[number + 1 :], number


def test_an_address_of_two_tenants_gives_a_record_once(tree: Tree) -> None:
    """A source that does not ask for the tenant answers both requests with the same list."""
    tree.server.on("/tickets")(lambda _asked: {"items": [{"id": "a", "owner": ANN}]})
    text = BY_TENANT.replace("PAGE", "").replace(', cursor = "{after}"', "")
    exporter = open_source(text, tree.server.url, tenant="ten_acme")

    assert ids_of(records_of(exporter, "tickets", OF_TWO)) == ["a"]


def test_a_list_of_other_people_gives_places(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source without a filter: pages on which nothing is the person's lead on, so that a slow reading ends."""
    monkeypatch.setattr(TimeBudget, "is_half_used", True)
    text = TREE.replace("scoped = true", 'verify = { "user" = "desk_user" }', 1)
    owners = {"p0": 2, "p1": 3, "p2": 1, "p3": 2}

    def answer(asked: Asked) -> Any:
        place = asked.query.get("cursor", "p0")
        following = {"p0": "p1", "p1": "p2", "p2": "p3"}.get(place)
        return {"items": [{"id": f"t{place}", "user": owners[place]}], "next": following}

    tree.server.on("/users/*")(answer)
    exporter = open_source(text, tree.server.url)
    subject = resolved(exporter, person())
    for name, count_of in (("messages", 4), ("files", 12)):
        read = batches_of(exporter, name, subject)
        assert [batch.records for batch in read[:2]] == [[], []]
        assert sum(len(batch.records) for batch in read) == count_of
        for number, batch in enumerate(read):
            tree.server.asked.clear()
            rest = records_of(exporter, name, subject, after=batch.cursor)
            assert rest == [record for one in read[number + 1 :] for record in one.records], (name, number)
            assert tree.server.asked[0].query["cursor"] == f"p{min(number + 1, 2)}", (name, number)
