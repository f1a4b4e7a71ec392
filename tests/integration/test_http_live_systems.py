"""Exports of a help desk, a server for chats and an address book, compared with what the systems themselves say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
import repository
from http_sources import batches_of, ids_of, memory_sources, open_source, person, records_of, resolved
from judges.programs import missing
from live_systems import PASSWORD, LiveSystem, matrix_login, radicale, request_tracker, synapse
from servers import ServerMissing

from exporters.http.exporter import HttpExporter
from exporters.http.hooks import Ask, HookPage
from exporters.http.templates import Names
from portability.api import Identity, RowRemark, Subject
from portability.api.errors import SourceRefused

MAPS = repository.ROOT / "docs" / "examples" / "maps"
SCAN = b"%PDF-1.4 " + bytes(range(256)) * 400
INJECTED = "x' OR id > 0 OR Subject='y@example.test"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def help_desk() -> Iterator[LiveSystem]:
    """Five tickets of Ann, two of Bob; an answer, a comment of staff, and a file."""
    try:
        with request_tracker() as system:
            fill_desk(system)
            yield system
    except ServerMissing as error:
        missing("Request Tracker", str(error))


def fill_desk(system: LiveSystem) -> None:
    for name in ("ann", "bob"):
        user = {"Name": name, "EmailAddress": f"{name}@example.test", "MobilePhone": "+4912345", "Privileged": 0}
        system.call("POST", "/user", json=user)
    for number in range(7):
        name = "ann" if number < 5 else "bob"
        ticket = {"Queue": "General", "Subject": f"Case {number} é", "Requestor": f"{name}@example.test"}
        system.call("POST", "/ticket", json={**ticket, "Content": f"Text {number} é", "ContentType": "text/plain"})
    file = {"FileName": "scan.pdf", "FileType": "application/pdf", "FileContent": base64.b64encode(SCAN).decode()}
    answer = {"Content": "Answer", "ContentType": "text/plain"}
    system.call("POST", "/ticket/1/correspond", json={**answer, "Attachments": [file]})
    system.call("POST", "/ticket/1/comment", json={"Content": "between us", "ContentType": "text/plain"})
    system.call("PUT", "/ticket/3", json={"Status": "deleted"})


@pytest.fixture
def desk_exporter(help_desk: LiveSystem, monkeypatch: pytest.MonkeyPatch) -> HttpExporter:
    monkeypatch.setenv("RT_PASSWORD", "password")
    login = {"kind": "basic", "username": "root", "password": "env:RT_PASSWORD"}
    text = (MAPS / "request_tracker.toml").read_text().replace('per_page = "100"', 'per_page = "2"', 1)
    return open_source(text, help_desk.url, memory_sources(seconds=300), auth=login)


def test_a_help_desk_is_exported_as_it_is(desk_exporter: HttpExporter, help_desk: LiveSystem) -> None:
    """Tickets, texts and files of one person, in pages of two; no comment of staff, and nothing of Bob."""
    subject = resolved(desk_exporter, person())
    tickets = records_of(desk_exporter, "tickets", subject)
    said = [help_desk.call("GET", f"/ticket/{number}") for number in range(1, 8)]
    truth = [one for one in said if one["Requestor"][0]["id"] == "ann" and one["Status"] != "deleted"]

    assert [(one["id"], one["subject"]) for one in tickets] == [(str(one["id"]), one["Subject"]) for one in truth]
    assert len(tickets) == 4
    texts = [one["text"] for one in records_of(desk_exporter, "texts", subject)]
    assert texts == ["Text 0 é", "Answer", *(f"Text {number} é" for number in (1, 3, 4))]
    (file,) = [file for batch in batches_of(desk_exporter, "files", subject) for file in batch.files]
    assert hashlib.sha256(b"".join(file.open(0))).digest() == hashlib.sha256(SCAN).digest()
    assert b"".join(file.open(100_000)) == SCAN[100_000:]


def test_a_crafted_address_finds_nothing_in_a_help_desk(desk_exporter: HttpExporter, help_desk: LiveSystem) -> None:
    """The address that gave all tickets of all customers, put into the query as it is, selects nothing."""
    everything = help_desk.call("GET", f"/tickets?query=Requestor.EmailAddress='{INJECTED}'&per_page=100")
    assert len(everything["items"]) >= 6

    for address in (
        INJECTED,
        "x\\' OR id > 0 OR Subject='y@example.test",
        "nn@example.test",
        "%@example.test",
        "a" * 320,
    ):
        assert desk_exporter.identities(person(address)) == ()
    hostile = resolved(desk_exporter, person())
    assert [len(desk_exporter.identities(person(one))) for one in ("ANN@example.test", "ann@example.test")] == [1, 1]
    assert len(hostile.identities) == 3
    with pytest.raises(SourceRefused, match="a value cannot be asked for: `quoted`: the value has control characters"):
        records_of(desk_exporter, "tickets", named("a\0b"))


def named(value: str) -> Subject:
    return person("ann@example.test", Identity("desk", "rt_user", value, verified=True))


def test_a_reading_of_a_help_desk_continues_after_every_batch(
    desk_exporter: HttpExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows each cursor is exactly what is left, by keys, by links, and by values of parents."""
    monkeypatch.setattr("exporters.http.batches.BATCH_RECORDS", 1)
    subject = resolved(desk_exporter, person())
    for dataset in ("tickets", "texts"):
        whole = batches_of(desk_exporter, dataset, subject)
        for number, batch in enumerate(whole):
            rest = ids_of(records_of(desk_exporter, dataset, subject, after=batch.cursor))
            assert rest == [one["id"] for left in whole[number + 1 :] for one in left.records]


@pytest.fixture(scope="module")
def chats() -> Iterator[LiveSystem]:
    """Ann and Bob, who share a phone number, with 60 messages of each in one room, a file, and a redacted message."""
    try:
        with synapse() as (system, _token):
            fill_chats(system)
            yield system
    except ServerMissing as error:
        missing("Synapse", str(error))


def fill_chats(system: LiveSystem) -> None:
    tokens = {}
    for name in ("ann", "bob"):
        addresses = [{"medium": "email", "address": f"{name}@example.test"}]
        user = {"password": f"pw-of-{name}", "displayname": name.title(), "threepids": addresses}
        system.call("PUT", f"/_synapse/admin/v2/users/@{name}:lab.test", json=user)
        tokens[name] = {"Authorization": f"Bearer {matrix_login(system.url, name, f'pw-of-{name}')}"}
    rooms = "/_matrix/client/v3"
    made = system.call("POST", f"{rooms}/createRoom", json={"invite": ["@bob:lab.test"]}, headers=tokens["ann"])
    room = made["room_id"].replace("!", "%21").replace(":", "%3A")
    system.call("POST", f"{rooms}/join/{room}", json={}, headers=tokens["bob"])
    for number in range(120):
        body = {"msgtype": "m.text", "body": f"message {number} é"}
        path = f"{rooms}/rooms/{room}/send/m.room.message/{number}"
        sent = system.call("PUT", path, json=body, headers=tokens["ann" if number % 2 else "bob"])
        if number == 1:
            redacted = f"{rooms}/rooms/{room}/redact/{sent['event_id']}/r1"
    system.call("PUT", redacted, json={}, headers=tokens["ann"])
    kind = {"Content-Type": "audio/ogg", **tokens["ann"]}
    system.call("POST", "/_matrix/media/v3/upload?filename=voice.ogg", content=SCAN, headers=kind)


def test_chats_are_exported_as_they_are(chats: LiveSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages by cursors whose pages may be empty, a redacted message that is marked, and a file."""
    monkeypatch.setenv("MATRIX_TOKEN", chats.client.headers["Authorization"].removeprefix("Bearer "))
    login = {"kind": "bearer", "token": "env:MATRIX_TOKEN"}
    text = (MAPS / "synapse.toml").read_text()
    exporter = open_source(text, chats.url, memory_sources(300), auth=login, values={"server": "lab.test"})
    subject = resolved(exporter, person())

    assert [one.value for one in subject.identities if one.kind == "matrix_user"] == ["@ann:lab.test"]
    assert [len(exporter.identities(person(one))) for one in ("nn@example.test", "nobody@example.test")] == [0, 0]
    assert [one["display_name"] for one in records_of(exporter, "profile", subject)] == ["Ann"]
    (batch,) = batches_of(exporter, "messages", subject)
    said = [f"message {number} é" for number in range(119, 0, -2)]
    assert [one["text"] for one in batch.records] == [*said[:-1], None]
    assert batch.remarks == {RowRemark.SOFT_DELETED: [59]}
    (media,) = batches_of(exporter, "media", subject)
    assert media.files[0].media_type == "audio/ogg"
    assert b"".join(media.files[0].open(0)) == SCAN
    assert b"".join(media.files[0].open(1000)) == SCAN[1000:]


CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Card {uid}\r\nN:{uid};Card;;;\r\nEMAIL:{email}\r\nEND:VCARD\r\n"
QUERY = (
    '<C:addressbook-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><D:prop><C:address-data/></D:prop>'
    '<C:filter><C:prop-filter name="EMAIL"><C:text-match match-type="contains">%s</C:text-match></C:prop-filter>'
    "</C:filter></C:addressbook-query>"
)


def carddav(ask: Ask, names: Names, after: str | int | None) -> Iterator[HookPage]:
    """A hook: cards that contain the address, which the engine verifies."""
    del after
    body = (QUERY % escape(names["email"])).encode()
    answer = ask.content("REPORT", "/desk/people/", body=body, headers={"Depth": "1", "Content-Type": "text/xml"})
    found = ET.fromstring(answer).iter("{urn:ietf:params:xml:ns:carddav}address-data")  # noqa: S314  # our own server
    yield HookPage([card_of(one.text or "") for one in found])


def card_of(text: str) -> dict[str, Any]:
    lines = [line.partition(":") for line in text.splitlines()]
    values = {name: [value for key, _, value in lines if key.partition(";")[0] == name] for name in ("EMAIL", "TEL")}
    by_name = {key: value for key, _, value in lines}
    return {"id": by_name["UID"], "name": by_name["FN"], "emails": values["EMAIL"], "phones": values["TEL"]}


def test_an_address_book_is_read_by_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server finds parts of addresses; the records of a hook pass the same verification as all others."""
    monkeypatch.setenv("CARDS_PASSWORD", PASSWORD)
    monkeypatch.setattr("exporters.http.hooks.load_hook", {"carddav": carddav}.__getitem__)
    login = {"kind": "basic", "username": "desk", "password": "env:CARDS_PASSWORD"}
    try:
        with radicale() as system:
            kind = "<resourcetype><collection/><C:addressbook/></resourcetype>"
            space = 'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"'
            book = f"<mkcol {space}><set><prop>{kind}</prop></set></mkcol>"
            system.call("MKCOL", "/desk/people/", content=book)
            for uid, email in (("c1", "ann@example.test"), ("c2", "joann@example.test"), ("c3", "ANN@example.test")):
                card = CARD.format(uid=uid, email=email)
                system.call("PUT", f"/desk/people/{uid}.vcf", content=card, headers={"Content-Type": "text/vcard"})
            exporter = open_source((MAPS / "carddav.toml").read_text(), system.url, auth=login)

            assert sorted(ids_of(records_of(exporter, "cards", person()))) == ["c1", "c3"]
            assert ids_of(records_of(exporter, "cards", person("nn@example.test"))) == []
    except ServerMissing as error:
        missing("Radicale", str(error))
