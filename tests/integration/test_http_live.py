"""Exports of real systems, filled by their own interfaces, compared with what the systems themselves say."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import repository
from http_sources import batches_of, ids_of, open_source, person, records_of, resolved
from live_systems import PASSWORD, LiveSystem, roundup

from exporters.http.exporter import HttpExporter
from exporters.http.source import open_http
from exporters.maps.reading import MapText
from portability.api import Identity, Subject

MAPS = repository.ROOT / "docs" / "examples" / "maps"
PEOPLE = {"ann": "ann@example.test", "joann": "joann@example.test", "Bob": "Bob@Example.test"}
PDF = b"%PDF-1.4 " + bytes(range(256)) * 80


def example_source(name: str, system: LiveSystem, **section: Any) -> HttpExporter:
    """The example map of a system."""
    return open_source((MAPS / f"{name}.toml").read_text(), system.url, **section)


@pytest.fixture(scope="module")
def tracker() -> Iterator[LiveSystem]:
    """A tracker with three people, 45 issues of Ann and 5 of Joann; one of Ann's is retired."""
    with roundup() as system:
        people = {
            name: system.call("POST", "/data/user", json=account_of(name, address))["data"]["id"]
            for name, address in PEOPLE.items()
        }
        for number in range(50):
            fill_issue(system, people["ann" if number < 45 else "joann"], number)
        alter(system, "PATCH", "/data/issue/44", json=RETIRE)
        yield system


def account_of(name: str, address: str) -> dict[str, str]:
    return {"username": name, "address": address, "phone": "+4912345", "password": "pw-of-" + name, "roles": "User"}


def alter(system: LiveSystem, method: str, path: str, **more: Any) -> None:
    """A change of a record, which the tracker allows for the version that was read."""
    tag = system.call("GET", path)["data"]["@etag"]
    system.call(method, path, headers={"If-Match": tag}, **more)


def fill_issue(system: LiveSystem, person_id: str, number: int) -> None:
    """An issue with a message; every twentieth has a file."""
    message = system.call("POST", "/data/msg", json={"author": person_id, "content": f"Body {number} é"})["data"]["id"]
    files = []
    if number % 20 == 1:
        form = {"name": (None, f"scan {number} é.pdf"), "type": (None, "application/pdf"), "content": ("x", PDF)}
        files = [system.call("POST", "/data/file", files=form)["data"]["id"]]
    issue = {"title": f"Case {number}", "nosy": [person_id], "messages": [message], "files": files}
    system.call("POST", "/data/issue", json=issue)


RETIRE = {"@op": "action", "@action_name": "retire"}
LOGIN = {"kind": "basic", "username": "admin", "password": "env:ROUNDUP_PASSWORD"}


@pytest.fixture
def tracker_exporter(tracker: LiveSystem, monkeypatch: pytest.MonkeyPatch) -> HttpExporter:
    monkeypatch.setenv("ROUNDUP_PASSWORD", PASSWORD)
    return example_source("roundup", tracker, auth=LOGIN)


@pytest.mark.system
def test_an_export_is_what_the_tracker_itself_says(tracker_exporter: HttpExporter, tracker: LiveSystem) -> None:
    """Issues, messages and files of one person, compared with a reading of the whole tracker."""
    subject = resolved(tracker_exporter, person())
    (ann,) = [one.value for one in subject.identities if one.kind == "roundup_user"]
    listed = tracker.call("GET", "/data/issue?@fields=title,nosy,messages,files&@page_size=1000&@verbose=0")["data"]
    truth = [one for one in listed["collection"] if ann in one["nosy"]]
    issues = records_of(tracker_exporter, "issues", subject)

    assert sorted((one["id"], one["title"]) for one in issues) == sorted((one["id"], one["title"]) for one in truth)
    assert len(issues) == 44
    messages = {one["id"]: one["text"] for one in records_of(tracker_exporter, "messages", subject)}
    for message in (message for one in truth for message in one["messages"]):
        assert (
            messages.pop(message)
            == tracker.call("GET", f"/data/msg/{message}?@verbose=3")["data"]["attributes"]["content"]
        )
    assert messages == {}
    files = [file for batch in batches_of(tracker_exporter, "files", subject) for file in batch.files]
    assert len(files) == sum(len(one["files"]) for one in truth) == 3
    for file in files:
        assert hashlib.sha256(b"".join(file.open(0))).digest() == hashlib.sha256(PDF).digest()
        assert b"".join(file.open(20_000)) == PDF[20_000:]
        assert file.media_type == "application/pdf"


@pytest.mark.system
def test_similar_addresses_find_nothing_of_others(tracker_exporter: HttpExporter) -> None:
    """Parts, other letters and accents of an address are other people; a change of case is the same person."""
    for address in ("nn@example.test", "nn@exam", "änn@example.test", "ann@example.tes", "%", "*", "ann@example.test "):
        found = tracker_exporter.identities(person(address))
        assert len(found) == (address == "ann@example.test "), address
    assert [len(tracker_exporter.identities(person(one))) for one in ("Bob@Example.test", "bob@example.test")] == [1, 0]


@pytest.mark.system
def test_a_live_reading_continues_after_every_batch(
    tracker_exporter: HttpExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a batch for each answer of the real system: what follows each cursor is exactly what is left."""
    monkeypatch.setattr("exporters.http.batches.BATCH_RECORDS", 1)
    subject = resolved(tracker_exporter, person("joann@example.test"))

    assert ids_of(records_of(tracker_exporter, "issues", subject)) == [str(n) for n in range(46, 51)]
    check_places(tracker_exporter, subject)


def check_places(tracker_exporter: HttpExporter, subject: Subject) -> None:
    """Each dataset is the same when it is continued after each of its batches."""
    for dataset in tracker_exporter.datasets:
        whole = batches_of(tracker_exporter, dataset.name, subject)
        for number, batch in enumerate(whole):
            rest = records_of(tracker_exporter, dataset.name, subject, after=batch.cursor)
            assert rest == [record for left in whole[number + 1 :] for record in left.records]


@pytest.mark.system
def test_a_changed_address_leads_to_its_new_owner_only(tracker_exporter: HttpExporter, tracker: LiveSystem) -> None:
    """Carl takes a new address: he is found by it, and not by the address before. A retired person is not found."""
    carl = tracker.call("POST", "/data/user", json=account_of("carl", "carl@example.test"))["data"]["id"]
    found = (Identity("desk", "roundup_user", carl, verified=True),)
    assert tracker_exporter.identities(person("carl@example.test")) == found
    alter(tracker, "PUT", f"/data/user/{carl}", json={"address": "carl@new.test"})

    assert tracker_exporter.identities(person("carl@new.test")) == found
    assert tracker_exporter.identities(person("carl@example.test")) == ()
    alter(tracker, "PATCH", f"/data/user/{carl}", json=RETIRE)
    assert tracker_exporter.identities(person("carl@new.test")) == ()


@pytest.mark.system
def test_a_real_limit_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker allows 20 calls in three seconds and answers 429 with Retry-After: the export waits and is whole."""
    monkeypatch.setenv("ROUNDUP_PASSWORD", PASSWORD)
    with roundup(calls=20) as system:
        refused: list[int] = []
        system.client.event_hooks["response"] = [lambda answer: refused.append(answer.status_code)]
        user_id = retried(system, "POST", "/data/user", json=account_of("ann", "ann@example.test"))["data"]["id"]
        for number in range(6):
            message = retried(system, "POST", "/data/msg", json={"author": user_id, "content": f"Body {number}"})
            issue = {"title": f"Case {number}", "nosy": [user_id], "messages": [message["data"]["id"]]}
            retried(system, "POST", "/data/issue", json=issue)
        tracker_exporter = example_source("roundup", system, auth=LOGIN)
        for _ in range(4):
            subject = resolved(tracker_exporter, person())
            assert len(records_of(tracker_exporter, "messages", subject)) == 6


def retried(system: LiveSystem, method: str, path: str, **more: Any) -> Any:
    """A request that waits for the limit, as the system asks."""
    while (answer := system.client.request(method, system.url + path, **more)).status_code == 429:
        time.sleep(float(answer.headers["Retry-After"]))
    return answer.json()


def test_a_real_tracker_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small tracker from its start to its records: what runs here, runs for all tests of real systems."""
    monkeypatch.setenv("ROUNDUP_PASSWORD", PASSWORD)
    with roundup() as system:
        ids = [system.call("POST", "/data/user", json=account_of(*one))["data"]["id"] for one in PEOPLE.items()]
        for number, person_id in enumerate([*ids, ids[0]]):
            fill_issue(system, person_id, number)
        tracker_exporter = example_source("roundup", system, auth=LOGIN)

        check_places(tracker_exporter, resolved(tracker_exporter, person()))
        assert [one["text"] for one in records_of(tracker_exporter, "messages")] == ["Body 0 é", "Body 3 é"]


def test_every_example_map_is_valid() -> None:
    """The maps of the documentation are read without a fault."""
    for path in sorted(MAPS.glob("*.toml")):
        assert open_http.parse(MapText(path.name, path.read_text())).form.dataset
