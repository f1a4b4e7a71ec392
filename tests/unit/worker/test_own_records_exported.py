"""Records of requests beside the data of sources: they are delivered, and prove nothing about the sources."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from factories import MadeUpExporter, World, dataset, things, world
from sqlalchemy import Engine, event

from cli.requests import exit_code
from exporters.portability.reader import OwnRecords
from exporters.portability.records import TABLES
from portability.api import Exporter, Role, Subject
from portability.api.errors import SourceRefused
from portability.database.engine import writing
from portability.desk import notes
from portability.errors import DatabaseUnavailable
from portability.requests import approvals
from portability.requests.policy import Actor
from worker import export

pytestmark = pytest.mark.slow


class Knowing(MadeUpExporter):
    """A source that knows the user usr_1 alone."""

    def knows(self, subject: Subject) -> bool | None:
        return subject.identities[0].value == "usr_1"


def deployment(folder: Path, exporter: Exporter, engine: Engine | Exception | None = None) -> World:
    """A deployment with a source and with the records of its requests; `engine` replaces the control database."""

    def control() -> Engine:
        if isinstance(engine, Exception):
            raise engine
        return made.engine

    made = world(folder, {"made": exporter, "portability": OwnRecords(control, TABLES)})
    return made


def records_of_requests(document: dict[str, Any]) -> dict[str, int]:
    return {line["dataset"]: line["records"] for line in document["datasets"] if line["exporter"] == "portability"}


@pytest.mark.requirement("R4")
def test_a_request_is_in_its_own_archive(tmp_path: Path) -> None:
    """Also an earlier request, and the events of both until the export began."""
    made = deployment(tmp_path, Knowing(things(2)))
    made.request()
    made.advance_all()
    identifier = made.request()
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert document["outcome"] == {"own": "complete", "processor": "none"}
    assert records_of_requests(document)["requests"] == 2
    assert records_of_requests(document)["events"] >= 2
    assert made.verify(made.fetch(identifier)).ok


@pytest.mark.requirement("R4")
def test_notes_of_staff_are_delivered_without_addresses_of_others(tmp_path: Path) -> None:
    """Not the name of the writer either; `portability` has no notes, because staff wrote them."""
    made = deployment(tmp_path, Knowing(things(2)))
    identifier = made.request()
    with writing(made.engine) as connection:
        text = "She was angry. Call her neighbour at tom@mail.example."
        notes.write(connection, made.place.settings, identifier, text, "person", actor=Actor("staff", "sam"))
    made.advance_all()
    (note,) = records(made.fetch(identifier), "portability", "notes")
    assert note["text"] == "She was angry. Call her neighbour at [redacted:other-address]."
    assert (note["request_id"], note["about"], note["written_by"]) == (identifier, "person", "staff")
    later = made.request(profile="portability")
    made.advance_all()
    assert "angry" not in str([body for _name, body in members(made.fetch(later))])


@pytest.mark.requirement("R4")
def test_a_request_is_not_data_of_a_source(tmp_path: Path) -> None:
    """Nothing is stored about a known user but the request: the answer stays "nothing stored"."""
    made = deployment(tmp_path, Knowing([]))
    identifier = made.request()
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert document["outcome"] == made.view(identifier)["outcome"] == {"own": "nothing_held", "processor": "none"}
    assert (document["complete"], document["no_data_held"]) == (True, True)
    assert records_of_requests(document)["requests"] == 1


def test_an_earlier_request_does_not_make_a_subject_known(tmp_path: Path) -> None:
    """A mistyped id waits for a person each time; approved, it is "not found" although the request is delivered."""
    made = deployment(tmp_path, Knowing([]))
    for _time in (1, 2):
        identifier = made.request("user:usr_mistyped")
        made.advance_all()
        assert made.view(identifier)["review"] == ["not_found"]
        with writing(made.engine) as connection:
            approvals.approve(connection, identifier, actor=Actor("officer", "olga"))
        made.advance_all()
    document = export_json(made.fetch(identifier))
    assert document["outcome"] == {"own": "not_found", "processor": "none"}
    assert (document["complete"], records_of_requests(document)["requests"]) == (False, 2)


def test_a_request_does_not_hide_that_everything_is_referred(tmp_path: Path) -> None:
    """A contact without an instruction gets the request alone: the exit code says that all else is referred."""
    made = deployment(tmp_path, MadeUpExporter(things(2), datasets=[dataset("things", Role.PROCESSOR)]))
    identifier = made.request("contact:con_1", tenant="ten_a")
    made.advance_all()
    view = made.view(identifier)
    assert (view["outcome"], view["complete"]) == ({"own": "none", "processor": "referred"}, False)
    row = {f"outcome_{part}": word for part, word in view["outcome"].items()}
    assert exit_code({**view, **row}) == 5


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), SourceRefused("no right"), ValueError("x")])
def test_records_of_requests_that_cannot_be_read_are_missing(tmp_path: Path, error: Exception) -> None:
    """The archive of the sources' data is made; it says that it is not complete, and never that nothing is stored."""
    for number, found in enumerate(([], things(2))):
        made = deployment(tmp_path / str(number), Knowing(found), error)
        identifier = made.request()
        made.advance_all()
        assert made.view(identifier)["outcome"] == {"own": "partial", "processor": "none"}


def test_the_request_alone_may_be_asked_for(tmp_path: Path) -> None:
    """`--include portability` is complete, and does not say that nothing is stored."""
    made = deployment(tmp_path, Knowing(things(2)))
    identifier = made.request(include=["portability"])
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert (document["outcome"]["own"], document["no_data_held"]) == ("complete", False)


def note_statement(to: list[str], *found: Any) -> None:
    """Note the first word of a statement, unless it renews the lease: how often depends on the time that it takes."""
    if threading.current_thread().name != "lease":
        to.append(found[2].split()[0])


def test_tables_without_rows_are_not_read(tmp_path: Path) -> None:
    """15 datasets cost a small export one question for all, and one for each dataset that has rows."""
    asked: dict[bool, list[str]] = {}
    for has_own in (False, True):
        made = deployment(tmp_path / str(has_own), Knowing(things(7)))
        place = made.place if has_own else world(tmp_path / "x", {"made": Knowing(things(7))}).place
        made = World(place, tmp_path) if not has_own else made
        identifier = made.request()
        held = made.claim()
        assert held is not None
        noted = asked.setdefault(has_own, [])
        event.listen(made.engine, "before_cursor_execute", partial(note_statement, noted))
        export.advance(made.place, held)
        assert made.view(identifier)["state"] == "ready"
    filled = 4  # requests, deadlines, messages, events
    assert asked[True].count("BEGIN") - asked[False].count("BEGIN") <= 1 + filled
    assert len(asked[True]) - len(asked[False]) <= 2 * (1 + filled)
