"""The maps of vendors against stand-ins that keep the rules of the vendors' documentation. No vendor was called."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_sources import StandIn, batches_of, ids_of, memory_sources, person, records_of, resolved, stand_in
from vendors import NOW, HubSpot, Twilio, Zendesk, hubspot_object

from exporters.http import source
from exporters.http.exporter import HttpExporter
from exporters.http.expressions import find
from exporters.maps.reading import MapText
from portability.api import CoverageKind, Identity, RowRemark, SourceDeclaration, Sources, Subject, SubjectKind
from portability.api.coverage import FAULTS
from portability.testing import check_exporter, sample_subject

ACCOUNT = "AC" + "0" * 32
LINES_MOST = 35
PHONE = "+4930123456"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("VENDOR_SECRET", "secret")
    monkeypatch.setenv("VENDOR_TOKEN", "first")
    with stand_in() as found:
        yield found


def vendor_source(name: str, server: StandIn, connections: Sources | None = None, **keys: Any) -> HttpExporter:
    """The vendor's own map as a deployment opens it; only the hosts of files are those of the stand-in."""
    section = {"map": f"vendor:{name}", "base_url": server.url, "rate": "1000/s", **keys}
    declared = SourceDeclaration(name, "http", section, Path())
    found = source.open_http.read(declared)
    form = found.form.model_copy(update={"hosts": (f"localhost:{server.listener.port}",)})
    return source.make(declared, type(found)(found.source, form), connections or memory_sources())


def refreshing(server: StandIn, path: str) -> dict[str, str]:
    return {
        "kind": "oauth2_refresh",
        "token_url": f"{server.url}{path}",
        "client_id": "us",
        "client_secret": "env:VENDOR_SECRET",
        "refresh_token": "env:VENDOR_TOKEN",
    }


@pytest.fixture
def hubspot(server: StandIn) -> HubSpot:
    """Ann with 320 deals, one archived; Joann, whose address has a word in common; and a note with two files."""
    made = HubSpot(server)
    people = {1: "ann@example.test", 2: "joann@example.test", 3: "ann@example.test.evil"}
    made.contacts = {str(n): hubspot_object(n, email=email, hs_additional_emails="") for n, email in people.items()}
    made.contacts["4"] = hubspot_object(4, email="new@example.test", hs_additional_emails="x@y.test;Ann@Example.test")
    made.contacts["5"] = hubspot_object(5, archived=True, email="ann@example.test")
    made.objects["deals"] = {str(n): hubspot_object(n, dealname=f"Deal {n}", amount="10.10") for n in range(100, 420)}
    made.objects["deals"]["300"]["archived"] = True
    made.links["1", "deals"] = list(made.objects["deals"])
    made.objects["notes"] = {"7": hubspot_object(7, hs_note_body="<p>Note</p>", hs_attachment_ids="70;71;72")}
    made.links["4", "notes"] = ["7"]
    made.files = {"70": b"%PDF" * 1000, "71": b"x"}
    return made


def test_hubspot(hubspot: HubSpot, server: StandIn) -> None:
    """Look-up by both properties, links in pages, reads in batches, archived records, and files by signed URLs."""
    exporter = vendor_source("hubspot", server, auth=refreshing(server, "/oauth/v3/token"))
    subject = resolved(exporter, person())

    assert [one.value for one in subject.identities if one.kind == "hubspot_contact"] == ["1", "4"]
    assert [one["email"] for one in records_of(exporter, "contacts", subject)] == [
        "ann@example.test",
        "new@example.test",
    ]
    deals = batches_of(exporter, "deals", subject)
    assert ids_of([one for batch in deals for one in batch.records]) == [str(n) for n in range(100, 420) if n != 300]
    assert [(gap.what, gap.reason) for batch in deals for gap in batch.gaps] == [("deals/300", "missing")]
    assert records_of(exporter, "tickets", subject) == []
    (note,) = records_of(exporter, "notes", subject)
    assert note["file_ids"] == ["70", "71", "72"]
    (batch,) = batches_of(exporter, "files", subject)
    assert [one["file"] for one in batch.records] == ["7-70.bin", "7-71.bin"]
    assert [(gap.what, gap.reason) for gap in batch.gaps] == [("files/7-72", "missing")]
    assert b"".join(batch.files[0].open(0)) == hubspot.files["70"]
    assert b"".join(batch.files[0].open(3999)) == b"F"
    assert hubspot.tokens.refreshed == 1


def test_hubspot_search_keeps_its_own_rate(hubspot: HubSpot, server: StandIn) -> None:
    """Search allows four calls a second: nine look-ups take two seconds, and other calls do not wait."""
    exporter = vendor_source("hubspot", server, auth=refreshing(server, "/oauth/v3/token"))
    begun = time.monotonic()
    for _ in range(9):
        exporter.identities(person())

    assert time.monotonic() - begun >= 2
    assert hubspot.tokens.refreshed == 1


def test_hubspot_expired_token(hubspot: HubSpot, server: StandIn) -> None:
    """An access token lives for 30 minutes, and less if it is revoked: the reading goes on with a new pair."""
    shared = memory_sources()
    exporters = [vendor_source("hubspot", server, shared, auth=refreshing(server, "/oauth/v3/token")) for _ in range(2)]
    subject = resolved(exporters[0], person())
    hubspot.tokens.expires_at = 0

    assert len(records_of(exporters[1], "contacts", subject)) == 2
    assert len(records_of(exporters[0], "contacts", subject)) == 2
    assert hubspot.tokens.refreshed == 2


@pytest.fixture
def zendesk(server: StandIn) -> Zendesk:
    """Ann with 230 tickets, of which some are deleted, and comments of three kinds."""
    made = Zendesk(server)
    made.users = {
        1: {"id": 1, "email": "Ann@Example.test", "name": "Ann", "created_at": NOW, "tags": ["vip"]},
        2: {"id": 2, "email": "ann@example.test.evil", "name": "Eve", "created_at": NOW},
        3: {"id": 3, "email": None, "name": "Permanently Deleted User", "created_at": NOW},
    }
    for number in range(1, 231):
        status = "deleted" if number % 50 == 0 else "open"
        ticket = {"id": number, "requester_id": 1, "subject": f"Case {number}", "status": status, "created_at": NOW}
        made.tickets[number] = {**ticket, "via": {"channel": "email"}, "satisfaction_rating": None, "tags": []}
    file = {"id": 90, "file_name": "scan.png", "content_type": "image/png", "size": 28}
    url = f"{server.url}/attachments/90"
    made.comments[1] = [
        {"id": 11, "author_id": 1, "plain_body": "Hello", "public": True, "created_at": NOW, "attachments": []},
        {"id": 12, "author_id": 9, "plain_body": "between us", "public": False, "created_at": NOW, "attachments": []},
        {
            "id": 13,
            "author_id": 9,
            "plain_body": "Hi",
            "public": True,
            "created_at": NOW,
            "attachments": [{**file, "content_url": url}],
        },
    ]
    return made


def test_zendesk(zendesk: Zendesk, server: StandIn) -> None:
    """Look-up with a quoted address, cursor pages, public comments, and files that are redirected to another host."""
    exporter = vendor_source("zendesk", server, auth=refreshing(server, "/oauth/tokens"))
    subject = resolved(exporter, person())

    assert [one.value for one in subject.identities if one.kind == "zendesk_user"] == ["1"]
    assert [one["tags"] for one in records_of(exporter, "users", subject)] == [["vip"]]
    assert ids_of(records_of(exporter, "tickets", subject)) == [str(n) for n in range(1, 231) if n % 50]
    assert [one["text"] for one in records_of(exporter, "comments", subject)] == ["Hello", "Hi"]
    (batch,) = batches_of(exporter, "attachments", subject)
    assert (batch.records[0]["message_id"], batch.files[0].media_type) == ("13", "image/png")
    assert b"".join(batch.files[0].open(0)) == b"content of /stored/attachments/90"[:100]
    assert zendesk.tokens.refreshed == 1
    hostile = person('x" OR email:"ann@example.test')
    assert exporter.identities(hostile) == ()


def test_zendesk_rotation_and_expired_cursors(
    zendesk: Zendesk, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days later: the cursor is refused with 400, the refresh token has been used; the reading goes on all the same."""
    monkeypatch.setattr("exporters.http.batches.BATCH_RECORDS", 1)
    shared = memory_sources()
    exporter = vendor_source("zendesk", server, shared, auth=refreshing(server, "/oauth/tokens"))
    subject = resolved(exporter, person())
    first, *others = batches_of(exporter, "tickets", subject)
    zendesk.generation, zendesk.tokens.expires_at = 1, 0
    later = vendor_source("zendesk", server, shared, auth=refreshing(server, "/oauth/tokens"))

    rest = ids_of(records_of(later, "tickets", subject, after=first.cursor))
    assert rest == [one["id"] for batch in others for one in batch.records]
    assert zendesk.tokens.refreshed == 2


def test_zendesk_rate(zendesk: Zendesk, server: StandIn) -> None:
    """The vendor refuses each third call for a while: nothing is lost."""
    zendesk.refuses_every = 3
    exporter = vendor_source("zendesk", server, auth=refreshing(server, "/oauth/tokens"))

    assert len(records_of(exporter, "tickets", resolved(exporter, person()))) == 226
    assert zendesk.refused >= 1


@pytest.fixture
def twilio(server: StandIn) -> Twilio:
    """120 calls to Ann's number, 70 from it, one to herself; recordings, one of them deleted."""
    made = Twilio(server, ACCOUNT)
    day = "Thu, 01 Oct 2026 10:00:00 +0000"
    more = {"status": "completed", "duration": "61", "start_time": day, "end_time": day, "date_created": day}
    made.calls = [
        {"sid": f"CA{n}", "to": PHONE, "from": "+491", "direction": "outbound-api", **more} for n in range(119)
    ]
    made.calls += [{"sid": "CAself", "to": PHONE, "from": PHONE, "direction": "inbound", **more}]
    made.calls += [{"sid": f"CB{n}", "to": "+491", "from": PHONE, "direction": "inbound", **more} for n in range(69)]
    made.calls += [{"sid": "CX", "to": "+4930123", "from": "+491", "direction": "inbound", **more}]
    states = (("RE1", "CA1", "completed"), ("RE2", "CA1", "deleted"), ("RE3", "CX", "completed"))
    made.recordings = [
        {"sid": sid, "call_sid": call, "status": status, "duration": "61", "channels": 2, "date_created": day}
        for sid, call, status in states
    ]
    return made


def caller() -> Subject:
    return sample_subject(SubjectKind.PHONE, PHONE, Identity("account", "phone", PHONE, verified=True))


def test_twilio(twilio: Twilio, server: StandIn) -> None:
    """Two lists, one union; pages by relative links; RFC 2822 times; deleted recordings without sound are marked."""
    auth = {"kind": "basic", "username": ACCOUNT, "password": "env:VENDOR_SECRET"}
    exporter = vendor_source("twilio", server, auth=auth, values={"account": ACCOUNT})
    calls = records_of(exporter, "calls", caller())

    assert [one["id"] for one in calls] == [f"CA{n}" for n in range(119)] + ["CAself"] + [f"CB{n}" for n in range(69)]
    assert (calls[0]["seconds"], calls[0]["began_at"]) == (61, "2026-10-01T10:00:00.000000Z")
    (batch,) = batches_of(exporter, "recordings", caller())
    assert [(one["id"], one["file"]) for one in batch.records] == [("RE1", "RE1.wav"), ("RE2", None)]
    assert batch.remarks == {RowRemark.SOFT_DELETED: [1]}
    assert b"".join(batch.files[0].open(0)) == b"RIFFRE1"
    assert exporter.knows(caller()) is None
    assert len(twilio.calls) == 190


def test_twilio_fulfils_the_contract(twilio: Twilio, server: StandIn) -> None:
    """The public suite over a union of two lists with pages."""
    twilio.calls = [*twilio.calls[:3], *twilio.calls[118:122]]
    auth = {"kind": "basic", "username": ACCOUNT, "password": "env:VENDOR_SECRET"}
    exporter = vendor_source("twilio", server, auth=auth, values={"account": ACCOUNT})

    check_exporter(exporter, caller())


@pytest.mark.parametrize(
    ("name", "token_path", "tester"),
    [
        ("hubspot", "/oauth/v3/token", {"email": "ann@example.test"}),
        ("zendesk", "/oauth/tokens", {"email": "ann@example.test"}),
        ("twilio", None, {"phone": PHONE}),
    ],
)
def test_a_check_finds_no_fault(
    name: str, token_path: str | None, tester: dict[str, str], server: StandIn, request: pytest.FixtureRequest
) -> None:
    """Each look-up and dataset of a vendor's map is asked for the person for tests, and for no one."""
    request.getfixturevalue(name)
    auth: dict[str, str] = {"kind": "basic", "username": ACCOUNT, "password": "env:VENDOR_SECRET"}
    keys: dict[str, Any] = {"auth": refreshing(server, token_path)} if token_path else {"auth": auth}
    values = {"values": {"account": ACCOUNT}} if name == "twilio" else {}
    left: list[int] = []
    # The refresh token is valid once: the second check needs what the first has stored.
    shared = memory_sources()
    for check in (tester, {}):
        exporter = vendor_source(name, server, shared, check=check, **keys, **values)
        findings = exporter.check().findings
        left.append(sum(one.kind is CoverageKind.NOT_COMPARED for one in findings))

        # The records of the stand-ins do not have every value that the vendor's have.
        assert [one for one in findings if one.kind in FAULTS - {CoverageKind.MISSING_COLUMN}] == []
    assert left[0] < left[1] == len(exporter.datasets)


@pytest.mark.parametrize("path", sorted(source.VENDORS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_vendor_map_is_short_and_names_its_pages(path: Path) -> None:
    """At most 35 lines a dataset; the pages, what is shown of deleted records, and that the vendor was not called."""
    text = path.read_text()
    form = source.open_http.parse(MapText(path.name, text)).form
    sections = text.split("[[dataset]]")[1:]

    assert max(len(section.split("[[links]]")[0].strip().splitlines()) + 1 for section in sections) <= LINES_MOST
    assert form.documentation
    assert form.deleted_records
    assert "Not run against the vendor" in text.splitlines()[0]
    assert find("title", tomllib.loads(text)) == form.title
