"""A gap is closed only by what was missing: retries deliver it, as a correction of its record, or the gap stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members
from factories import MadeUpExporter, World, dataset, described, things, world_of
from gap_sources import LackingSource, delivered_files, delivered_records, lacks_nothing, retry_gaps, source_of

from portability.api import Field, FieldType, Gap, Provenance, Role
from worker.export import advance

pytestmark = pytest.mark.slow


def exported(tmp_path: Path, source: LackingSource, **settings: Any) -> tuple[World, str]:
    made = world_of(tmp_path, source, **settings)
    identifier = made.request(formats=["jsonl", "csv"])
    made.advance_all()
    return made, identifier


def ledger_line(paths: list[Path]) -> dict[str, Any]:
    (line,) = export_json(paths)["datasets"]
    return dict(line)


def corrections(paths: list[Path], suffix: str = "jsonl") -> list[str]:
    return [name for name, _body in members(paths) if name.endswith(f"-correction.{suffix}")]


@pytest.mark.parametrize("names_records", [True, False])
def test_a_value_that_comes_later_corrects_its_record(tmp_path: Path, names_records: bool) -> None:
    """Revision 1 lacks a value; after a repair revision 2 has the record with it, and is complete."""
    source = source_of(9, no_text={"thing_4"}, names_records=names_records)
    made, identifier = exported(tmp_path, source)
    assert made.view(identifier)["complete"] is False
    assert delivered_records(made.fetch(identifier))["thing_4"]["text"] is None

    source.repair()
    assert retry_gaps(made, identifier) == 1

    paths = made.fetch(identifier)
    assert delivered_records(paths)["thing_4"]["text"] == "text 4"
    assert lacks_nothing(paths, source)
    assert made.view(identifier)["complete"] is True
    assert export_json(paths)["gaps"] == []
    assert len(corrections(paths[1:])) == len(corrections(paths[1:], "csv")) == 1


def test_a_value_that_does_not_come_stays_a_gap(tmp_path: Path) -> None:
    """A retry without a repair delivers nothing, and the archive does not call itself complete."""
    made, identifier = exported(tmp_path, source_of(9, no_text={"thing_4"}))

    for revision in (2, 3):
        retry_gaps(made, identifier)

        paths = made.fetch(identifier)
        document = export_json(paths)
        assert (document["revision"], document["complete"]) == (revision, False)
        (gap,) = document["gaps"]
        assert (gap["what"], gap["reason"]) == ("things/thing_4/text", "not_json")
        assert (gap["record"], gap["fields"]) == ({"id": "thing_4"}, ["text"])
        assert corrections(paths) == []


def test_a_correction_is_not_counted_as_a_record(tmp_path: Path) -> None:
    """The ledger counts each record once, and corrections separately."""
    source = source_of(9, no_text={"thing_4", "thing_5"})
    made, identifier = exported(tmp_path, source)
    source.repair()
    retry_gaps(made, identifier)

    line = ledger_line(made.fetch(identifier))

    assert (line["records"], line["files"], line["gaps"], line["corrections"]) == (9, 9, 0, 2)
    assert (line["state"], made.view(identifier)["datasets"][0]["records"]) == ("complete", 9)


def test_one_of_two_values_that_comes_closes_one_gap(tmp_path: Path) -> None:
    """The text is repaired, the file is not: the record is corrected with its text, and the gap of its file stays."""
    source = source_of(9, no_text={"thing_4"}, no_file={"4.wav"})
    made, identifier = exported(tmp_path, source)
    source.no_text = set()
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    assert delivered_records(paths)["thing_4"] == {"id": "thing_4", "text": "text 4", "file": None}
    assert [gap["what"] for gap in export_json(paths)["gaps"]] == ["things/thing_4"]
    assert made.view(identifier)["complete"] is False


@pytest.mark.parametrize("names_records", [True, False])
def test_a_file_that_comes_later_is_named_by_its_record(tmp_path: Path, names_records: bool) -> None:
    """Its record said null; the correction names the file, which is in the same revision."""
    source = source_of(9, no_file={"4.wav", "5.wav"}, names_records=names_records)
    made, identifier = exported(tmp_path, source)
    assert delivered_records(made.fetch(identifier))["thing_4"]["file"] is None
    source.repair()
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    assert delivered_records(paths)["thing_4"]["file"] == "4.wav"
    assert sorted(delivered_files(paths[1:])) == ["4.wav", "5.wav"]
    assert lacks_nothing(paths, source)
    assert made.view(identifier)["complete"] is True


def test_a_file_that_ended_early_and_is_gone_stays_a_gap(tmp_path: Path) -> None:
    """The source now has neither the file nor a gap for it: nothing was delivered, so nothing is closed."""
    source = source_of(3, broken={"1.wav"})
    made, identifier = exported(tmp_path, source, source_retries=0)
    source.truth = [{**record, "file": None} if record["id"] == "thing_1" else record for record in source.truth]
    source.broken = set()
    retry_gaps(made, identifier)

    assert [gap["what"] for gap in export_json(made.fetch(identifier))["gaps"]] == ["things/1.wav"]
    assert made.view(identifier)["complete"] is False


def test_a_record_that_is_gone_keeps_its_gap(tmp_path: Path) -> None:
    """The value can never come: the archive stays incomplete instead of silently forgetting it."""
    source = source_of(9, no_text={"thing_4"})
    made, identifier = exported(tmp_path, source)
    source.truth = [record for record in source.truth if record["id"] != "thing_4"]
    source.no_text = set()
    retry_gaps(made, identifier)

    assert [gap["what"] for gap in export_json(made.fetch(identifier))["gaps"]] == ["things/thing_4/text"]
    assert made.view(identifier)["complete"] is False


def test_a_source_that_fails_again_keeps_the_gaps(tmp_path: Path) -> None:
    """The retry cannot read the batch: the gaps stay, and a later retry fills them."""
    source = source_of(9, no_text={"thing_4"})
    made, identifier = exported(tmp_path, source)
    source.repair()
    source.dies_at = 3
    retry_gaps(made, identifier)
    assert [gap["what"] for gap in export_json(made.fetch(identifier))["gaps"]] == ["things/thing_4/text"]

    source.repair()
    retry_gaps(made, identifier)

    assert made.view(identifier)["complete"] is True
    assert lacks_nothing(made.fetch(identifier), source)


def test_a_source_that_cuts_its_batches_elsewhere_still_gives_the_record(tmp_path: Path) -> None:
    """The batch of the gap had eight records; it is read again in batches of two, until the record comes."""
    source = source_of(20, no_text={"thing_6"}, batch_records=8)
    made, identifier = exported(tmp_path, source)
    source.repair()
    source.batch_records = 2
    retry_gaps(made, identifier)

    assert lacks_nothing(made.fetch(identifier), source)
    assert made.view(identifier)["complete"] is True


def test_a_gap_without_a_record_stays_if_its_batch_ends_elsewhere(tmp_path: Path) -> None:
    """What the gap meant may be in the part that was not compared."""
    source = source_of(20, no_text={"thing_6"}, batch_records=8, names_records=False)
    made, identifier = exported(tmp_path, source)
    source.repair()
    source.batch_records = 3
    retry_gaps(made, identifier)

    assert made.view(identifier)["complete"] is False


def test_a_new_gap_of_a_corrected_record_is_reported(tmp_path: Path) -> None:
    """The text comes and the file is lost meanwhile: the correction has no file, and the gap says so."""
    source = source_of(3, no_text={"thing_1"})
    made, identifier = exported(tmp_path, source)
    source.repair()
    source.no_file = {"1.wav"}
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    assert [gap["what"] for gap in export_json(paths)["gaps"]] == ["things/thing_1"]
    assert made.view(identifier)["complete"] is False


def test_corrections_and_files_over_several_volumes_are_written_once(tmp_path: Path) -> None:
    """Files of one batch fill several volumes of the retry: each file comes once, whole, and the correction once."""
    source = source_of(6, file_bytes=90_000, no_file={f"{n}.wav" for n in range(6)}, batch_records=6)
    made, identifier = exported(tmp_path, source, volume_bytes=65_536)
    source.repair()
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    assert len(paths) > 4
    assert lacks_nothing(paths, source)
    assert len(corrections(paths)) == 1
    line = ledger_line(paths)
    assert (line["records"], line["files"], line["gaps"], line["corrections"]) == (6, 6, 0, 6)
    assert made.view(identifier)["complete"] is True


def test_a_file_that_disappears_between_two_volumes_is_a_gap(tmp_path: Path) -> None:
    """The first volume is full; before the second is written the store loses a file: it is named, not forgotten."""
    source = source_of(6, file_bytes=90_000, batch_records=6)
    made = world_of(tmp_path, source, volume_bytes=65_536)
    identifier = made.request()
    claim = made.claim()
    assert claim is not None
    advance(made.place, claim)
    source.no_file = {"4.wav"}
    made.advance_all()

    paths = made.fetch(identifier)

    assert made.verify(paths).errors == ()
    assert sorted(delivered_files(paths)) == ["0.wav", "1.wav", "2.wav", "3.wav", "5.wav"]
    assert all(delivered_files(paths)[name] == source.contents[name] for name in delivered_files(paths))
    assert [gap["what"] for gap in export_json(paths)["gaps"]] == ["things/4.wav"]
    assert made.view(identifier)["complete"] is False


def test_the_data_package_marks_corrections(tmp_path: Path) -> None:
    """A program finds them by x-corrects, with the schema of every other record; README.html counts them."""
    source = source_of(9, no_text={"thing_4"})
    made, identifier = exported(tmp_path, source)
    source.repair()
    retry_gaps(made, identifier)
    files = dict(members(made.fetch(identifier)[1:]))

    resources = json.loads(files["datapackage.json"])["resources"]

    marked = {resource["path"]: resource["x-records"] for resource in resources if resource.get("x-corrects")}
    assert marked == {f"data/made/things-r2-01-correction.{form}": 1 for form in ("jsonl", "csv")}
    assert "schemas/made/things.schema.json" in files
    assert b"replace earlier records with the same key in other volumes: 1" in files["README.html"]


def test_the_viewer_shows_the_corrected_record_in_its_place(tmp_path: Path) -> None:
    """One row for the record, with the value that came later."""
    source = source_of(9, no_text={"thing_4"})
    made, identifier = exported(tmp_path, source)
    source.repair()
    retry_gaps(made, identifier)
    files = dict(members(made.fetch(identifier)[-1:]))

    shown = files["viewer/data/made.things.js"].decode().splitlines()

    rows = [line for line in shown if "thing_" in line and "text" in line and line.startswith("'{")]
    assert [f"thing_{n}" in row for n, row in enumerate(rows)] == [True] * 9
    assert "text 4" in rows[4]


@pytest.mark.parametrize(
    "gap",
    [
        Gap("things/1", "not_json", key=("thing_1", "more"), fields=("text",)),
        Gap("things/1", "not_json", key=("thing_1",), fields=("undeclared",)),
    ],
)
def test_a_gap_that_names_no_possible_record_is_the_exporter_s_fault(tmp_path: Path, gap: Gap) -> None:
    """The dataset ends there, with a gap of its own."""
    made = world_of(tmp_path, MadeUpExporter(things(3), gaps={0: [gap]}))
    identifier = made.request()
    made.advance_all()

    assert [found["reason"] for found in export_json(made.fetch(identifier))["gaps"]] == ["exporter_fault"]


def test_a_gap_in_a_field_that_the_profile_does_not_take_is_left_out(tmp_path: Path) -> None:
    """`portability` has no derived values, so a derived value that cannot be read is not missing there."""
    score = Field("score", FieldType.NUMBER, "Made by software.", Provenance.DERIVED)
    gap = Gap("things/thing_0/score", "not_json", key=("thing_0",), fields=("score",))
    records = [{**record, "score": None} for record in things(3)]
    exporter = MadeUpExporter(records, gaps={0: [gap]}, datasets=(dataset("things", Role.CONTROLLER, score),))
    settings = {"notice_dir": described(tmp_path / "notice", "made/things")}
    made = world_of(tmp_path, exporter, **settings)
    taken, left_out = made.request(profile="access"), made.request("user:usr_2", profile="portability")
    made.advance_all()

    assert [found["what"] for found in export_json(made.fetch(taken))["gaps"]] == ["things/thing_0/score"]
    assert export_json(made.fetch(left_out))["gaps"] == []
