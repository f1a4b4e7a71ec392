"""Gaps of the reference platform: repaired values and recordings are delivered by a retry, in tables and documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
import unpacked
from archives import export_json, members
from factories import World, world
from gap_sources import retry_gaps
from importing import import_as
from sqlalchemy import Engine, text

from portability.database.engine import open_engine
from portability.testing import MemoryFiles
from receiver.binding.target import ImportTarget

pytestmark = pytest.mark.slow

CALL = "call-con_1-0"


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    made = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    platform.fill(made)
    yield made
    made.dispose()


def set_cost(engine: Engine, cost: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("update calls set cost = :cost where id = :id"), {"cost": cost, "id": CALL})


def set_second_transcript(engine: Engine, said: bytes) -> None:
    """Store bytes as a text, whether or not they are UTF-8."""
    statement = text("update transcripts set text = cast(:said as text) where call_id = :id and id like '%-1'")
    with engine.begin() as connection:
        connection.execute(statement, {"said": said, "id": CALL})


def exported(tmp_path: Path, engine: Engine, store: MemoryFiles) -> tuple[World, str]:
    made = world(tmp_path, {"calls": platform.exporters(engine, store)["calls"]})
    identifier = made.request("tenant:ten_a", profile="switch", formats=["jsonl", "vcon"])
    made.advance_all()
    return made, identifier


def of_revision(paths: list[Path], name: str) -> dict[str, bytes]:
    return {path: body for path, body in members(paths) if path.startswith(f"data/calls/{name}")}


def test_a_price_that_is_repaired_is_delivered(tmp_path: Path, engine: Engine) -> None:
    """Seen: `99,95` became null, the source was repaired, and revision 2 was complete with an empty payload."""
    set_cost(engine, "99,95")
    made, identifier = exported(tmp_path, engine, platform.files())
    assert made.view(identifier)["complete"] is False
    set_cost(engine, "99.95")
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    (body,) = of_revision(paths[1:], "calls-r2").values()
    assert [(record["id"], record["cost"]) for record in map(json.loads, body.splitlines())] == [(CALL, "99.95")]
    assert made.view(identifier)["complete"] is True
    assert not any(name == "data/empty.txt" for name, _body in members(paths))


def test_a_price_that_is_not_repaired_stays_missing(tmp_path: Path, engine: Engine) -> None:
    """The retry reads the record again, and the archive stays incomplete."""
    set_cost(engine, "99,95")
    made, identifier = exported(tmp_path, engine, platform.files())
    retry_gaps(made, identifier)

    document = export_json(made.fetch(identifier))

    assert (document["complete"], document["revision"]) == (False, 2)
    assert {(gap["dataset"], gap["what"], gap["reason"]) for gap in document["gaps"]} == {
        (dataset, f"calls/{CALL}/cost", "not_json") for dataset in ("calls", "vcon")
    }


def test_a_recording_that_comes_later_is_in_its_table_and_its_conversation(tmp_path: Path, engine: Engine) -> None:
    """The record of the recording names the file, and the vCon of its call is delivered again with it."""
    store = platform.files()
    away = f"recordings/{CALL}-1"
    sound = store.contents.pop(away)
    made, identifier = exported(tmp_path, engine, store)
    assert {(gap["dataset"], gap["reason"]) for gap in export_json(made.fetch(identifier))["gaps"]} == {
        ("recordings", "missing"),
        ("vcon", "missing"),
    }
    store.contents[away] = sound
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    recording, name = f"recordings-{CALL}-1", f"recordings-{CALL}-1.wav"
    (body,) = of_revision(paths[1:], "recordings-r2").values()
    assert [(record["id"], record["file"]) for record in map(json.loads, body.splitlines())] == [(recording, name)]
    assert of_revision(paths[1:], "recordings/") == {f"data/calls/recordings/{name}": sound}
    (document,) = of_revision(paths[1:], "vcon/").values()
    assert name in document.decode()
    assert name not in of_revision(paths[:1], "vcon/")[f"data/calls/vcon/{CALL}.vcon.json"].decode()
    assert made.view(identifier)["complete"] is True
    lines = {line["dataset"]: (line["records"], line["corrections"]) for line in export_json(paths)["datasets"]}
    before = {line["dataset"]: line["records"] for line in export_json(paths[:1])["datasets"]}
    assert {name: records for name, (records, _corrections) in lines.items()} == before
    assert (lines["recordings"][1], lines["vcon"][1], lines["calls"][1]) == (1, 1, 0)


def test_an_import_takes_the_corrected_record(tmp_path: Path, engine: Engine) -> None:
    """Each record is imported once, with the value that came later; a second import changes nothing."""
    set_cost(engine, "99,95")
    made, identifier = exported(tmp_path, engine, platform.files())
    set_cost(engine, "99.95")
    retry_gaps(made, identifier)
    folders = unpacked.unpacked(made.fetch(identifier), tmp_path / "unpacked")
    into = f"sqlite:///{tmp_path / 'into.db'}"

    first, second = (import_as(folders, into, ImportTarget(tenant="ten_here")) for _run in range(2))

    (calls,) = (found for found in first.datasets if found.dataset == "calls")
    (again,) = (found for found in second.datasets if found.dataset == "calls")
    assert (calls.new, calls.same, calls.changed) == (6, 0, 0)
    assert (again.new, again.same, again.changed) == (0, 6, 0)
    target = open_engine(into)
    with target.connect() as connection:
        assert connection.scalar(text("select cost from calls where id = :id"), {"id": CALL}) == "99.95"
    target.dispose()


def test_invalid_utf8_costs_one_cell(tmp_path: Path, engine: Engine) -> None:
    """Seen: it cost the rest of the dataset. In the conversation too, everything else of the call is there."""
    set_second_transcript(engine, b"A\xff")
    made, identifier = exported(tmp_path, engine, platform.files())

    paths = made.fetch(identifier)

    what = f"transcripts/transcripts-{CALL}-1/text"
    assert {(gap["dataset"], gap["what"], gap["reason"]) for gap in export_json(paths)["gaps"]} == {
        ("transcripts", what, "not_json"),
        ("vcon", what, "not_json"),
    }
    set_second_transcript(engine, b"better")
    retry_gaps(made, identifier)
    assert made.view(identifier)["complete"] is True
    (document,) = of_revision(made.fetch(identifier)[1:], "vcon/").values()
    assert b"better" in document
