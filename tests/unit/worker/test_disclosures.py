"""Recipients: the notice lists by name whom the delivered records name, of any exporter that declares the fields."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members
from factories import CutExporter, MadeUpExporter, World, dataset, described, things, world
from gap_sources import LackingSource, retry_gaps

from archive.recipients import RecipientTally
from portability.api import Dataset, DisclosureFields, Exporter, Field, FieldType, Provenance, Record, Role
from portability.errors import DatabaseUnavailable
from worker import export
from worker.close.commit import apply_commit

pytestmark = pytest.mark.slow

TO = Field("sent_to", FieldType.STRING, "Who received it.", Provenance.OBSERVED)
ON = Field("sent_on", FieldType.DATETIME, "When it was sent, in UTC.", Provenance.OBSERVED)
PARCELS = replace(dataset("parcels", Role.CONTROLLER, TO, ON), disclosures=DisclosureFields("sent_to", "sent_on"))


def sent(number: int, to: str | None, day: str = "2026-03-01") -> Record:
    return {**things(number + 1)[number], "sent_to": to, "sent_on": f"{day}T23:59:59Z"}


def disclosing(folder: Path, exporter: Exporter, *, declared: Dataset = PARCELS, **settings: Any) -> World:
    folder.mkdir(parents=True, exist_ok=True)
    notice = described(folder / "notice", f"made/{declared.name}")
    return world(folder, {"made": exporter}, notice_dir=notice, **settings)


def notice_of(paths: Sequence[Path]) -> dict[str, Any]:
    """notice.json of the newest revision."""
    found = [json.loads(body) for name, body in members(paths) if name == "notice.json"]
    newest: dict[str, Any] = max(found, key=lambda notice: int(notice["revision"]))
    assert newest["revision"] == export_json(paths)["revision"]
    return newest


def disclosed(made: World, identifier: str) -> dict[str, Any]:
    """What the notice says about the disclosures of the only dataset that declares some."""
    (found,) = notice_of(made.fetch(identifier))["disclosures"]
    return dict(found)


def delivered(made: World, **asked: Any) -> str:
    identifier = made.request(**asked)
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    return identifier


@pytest.mark.requirement("R25")
def test_the_notice_names_the_recipients_of_the_records(tmp_path: Path) -> None:
    """Each name once, with the number of its records and the first and the last day; the register's are apart."""
    source = [
        sent(0, "Parcel Service Ltd.", "2026-03-02"),
        sent(1, None),
        sent(2, "Court of Bremen", "2025-12-31"),
        sent(3, " Parcel Service Ltd. ", "2026-01-09"),
        sent(4, ""),
    ]
    made = disclosing(tmp_path, MadeUpExporter(source, datasets=[PARCELS]))
    identifier = delivered(made)
    assert disclosed(made, identifier) == {
        "exporter": "made",
        "dataset": "parcels",
        "title": {"en": "Parcels"},
        "complete": True,
        "recipients": [
            {"name": "Court of Bremen", "records": 1, "first": "2025-12-31", "last": "2025-12-31"},
            {"name": "Parcel Service Ltd.", "records": 2, "first": "2026-01-09", "last": "2026-03-02"},
        ],
        "more": 0,
    }
    notice = notice_of(made.fetch(identifier))
    assert [*notice["recipients"]] == ["hosting"]
    assert notice["datasets"][0]["recipients"] == ["hosting"]


def test_a_dataset_that_declares_nothing_names_no_one(tmp_path: Path) -> None:
    """A field of the name `recipient` alone means nothing: the dataset decides."""
    undeclared = dataset("parcels", Role.CONTROLLER, replace(TO, name="recipient"))
    source = [{**things(1)[0], "recipient": "Parcel Service Ltd."}]
    made = disclosing(tmp_path, MadeUpExporter(source, datasets=[undeclared]))
    assert notice_of(made.fetch(delivered(made)))["disclosures"] == []


def test_without_a_time_there_are_names_alone(tmp_path: Path) -> None:
    """The days are null where the dataset declares no field for them."""
    untimed = replace(PARCELS, disclosures=DisclosureFields("sent_to"))
    made = disclosing(tmp_path, MadeUpExporter([sent(0, "Court of Bremen")], datasets=[untimed]))
    recipients = disclosed(made, delivered(made))["recipients"]
    assert recipients == [{"name": "Court of Bremen", "records": 1, "first": None, "last": None}]


def test_an_empty_dataset_says_that_it_names_no_one(tmp_path: Path) -> None:
    """No record of a disclosure is an answer too. A dataset that broke off does not give it."""
    made = disclosing(tmp_path / "empty", MadeUpExporter([], datasets=[PARCELS]))
    assert (found := disclosed(made, delivered(made)))["recipients"] == []
    assert found["complete"] is True

    def breaks(number: int) -> None:
        if number == 1:
            raise ValueError("no")

    source = MadeUpExporter([sent(n, "Court of Bremen") for n in range(6)], datasets=[PARCELS], on_batch=breaks)
    made = disclosing(tmp_path / "broken", source)
    found = disclosed(made, delivered(made))
    assert (found["complete"], found["recipients"][0]["records"]) == (False, 3)


def test_a_part_of_the_time_is_not_all_disclosures(tmp_path: Path) -> None:
    """An export of records since a day may lack recipients, and the notice says so."""
    made = disclosing(tmp_path, MadeUpExporter([sent(0, "Court of Bremen")], datasets=[PARCELS]))
    assert disclosed(made, delivered(made, since="2026-01-01T00:00:00Z"))["complete"] is False


def test_a_field_that_the_profile_leaves_out_names_no_one(tmp_path: Path) -> None:
    """A portability copy has no derived fields: its notice does not say what it does not deliver."""
    derived = replace(PARCELS, fields=(*PARCELS.fields[:2], replace(TO, provenance=Provenance.DERIVED), ON))
    made = disclosing(tmp_path, MadeUpExporter([sent(0, "Court of Bremen")], datasets=[derived]))
    found = disclosed(made, delivered(made, profile="portability"))
    assert (found["recipients"], found["complete"]) == ([], False)


@pytest.mark.parametrize("slices_max", [1, 3])
def test_recipients_are_counted_over_volumes_and_slices(tmp_path: Path, slices_max: int) -> None:
    """Each volume is written by another claim, and their counts are added in the ledger."""
    source = [sent(n, f"Recipient {n % 4}", f"2026-03-{n % 28 + 1:02}") for n in range(2_000)]
    settings: dict[str, Any] = {"volume_bytes": 65_536, "piece_bytes": 4_096, "slice_bytes": 65_536}
    settings["slices_max"] = slices_max
    made = disclosing(tmp_path, CutExporter(source, batch_records=10, datasets=[PARCELS]), **settings)
    identifier = delivered(made)
    assert len(made.view(identifier)["volumes"]) > 1
    assert [(one["name"], one["records"]) for one in disclosed(made, identifier)["recipients"]] == [
        ("Recipient 0", 500),
        ("Recipient 1", 500),
        ("Recipient 2", 500),
        ("Recipient 3", 500),
    ]
    assert disclosed(made, identifier)["recipients"][0]["first"] == "2026-03-01"


def test_a_volume_that_is_written_again_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker died before the commit: the next claim reads the same records and counts each once."""
    source = [sent(n, f"Recipient {n % 2}") for n in range(2_000)]
    settings: dict[str, Any] = {"volume_bytes": 65_536, "piece_bytes": 4_096}
    made = disclosing(tmp_path, MadeUpExporter(source, batch_records=10, datasets=[PARCELS]), **settings)
    identifier = made.request()
    died: list[int] = []

    def dies_at_first(*arguments: Any) -> int:
        number = arguments[2].volume["number"]
        if number not in died:
            died.append(number)
            raise DatabaseUnavailable("away")
        return apply_commit(*arguments)

    monkeypatch.setattr(export, "apply_commit", dies_at_first)
    while made.is_open(identifier):
        held = made.claim(lease_seconds=0.3)
        if held is not None:
            export.advance(made.place, held)
    assert len(died) > 1
    assert [(one["name"], one["records"]) for one in disclosed(made, identifier)["recipients"]] == [
        ("Recipient 0", 1_000),
        ("Recipient 1", 1_000),
    ]


@pytest.mark.parametrize("names_records", [True, False])
def test_a_correction_keeps_the_recipients_of_the_first_revision(tmp_path: Path, names_records: bool) -> None:
    """The retry delivers records again: the earlier recipients stay, each with its number of records."""
    declared = replace(dataset("things", Role.CONTROLLER, Field("file", FieldType.STRING, "Who.", Provenance.PROVIDED)))
    declared = replace(declared, disclosures=DisclosureFields("text"))
    truth = [{"id": f"thing_{n}", "text": f"Recipient {n % 3}", "file": None} for n in range(6)]
    source = LackingSource(truth, {}, no_text={"thing_1"}, datasets=[declared], names_records=names_records)
    made = disclosing(tmp_path, source, declared=declared)
    identifier = delivered(made)
    before = {one["name"]: one["records"] for one in disclosed(made, identifier)["recipients"]}
    assert before == {"Recipient 0": 2, "Recipient 1": 1, "Recipient 2": 2}
    assert disclosed(made, identifier)["complete"] is False
    source.repair()
    assert retry_gaps(made, identifier) == 1
    after = disclosed(made, identifier)
    assert [one["name"] for one in after["recipients"]] == [*before]
    assert after["complete"] is True
    # A gap without its record delivers the whole batch again: which of its records are new is unknown.
    assert {one["name"]: one["records"] for one in after["recipients"]} == {
        **before,
        "Recipient 1": 2 if names_records else 1,
    }


def test_a_thousand_names_and_a_number() -> None:
    """Memory is bounded: further names are counted by their records, and the number says so."""
    tally = RecipientTally()
    for number in range(1_003):
        tally.add(RecipientTally.of([(f"Recipient {number:04}", None)] * 2))
    assert len(tally.listed()) == 1_000
    assert tally.more == 6
    again = RecipientTally.from_json(tally.to_json())
    again.add(RecipientTally.of([("Recipient 0999", "2026-01-01T00:00:00Z"), ("Recipient 1000", None)]))
    assert (again.listed()[-1]["records"], again.listed()[-1]["first"], again.more) == (3, "2026-01-01", 7)


def test_a_name_can_be_stored_and_shown() -> None:
    """Control characters and lone surrogates, which a database refuses, become spaces; a long name is cut."""
    tally = RecipientTally.of([("Court\x00 of\n\ud800Bremen", None), ("x" * 5_000, None), ("\x00", None), (7, None)])
    assert [one["name"] for one in tally.listed()] == ["Court of Bremen", "x" * 299 + "…"]
