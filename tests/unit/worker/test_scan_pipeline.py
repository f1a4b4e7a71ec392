"""The scan in the pipeline: from a source that holds too much to what stands in the archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import platform_data as platform
import pytest
from archives import export_json, members, records
from factories import CutExporter, MadeUpExporter, World, dataset, file, things, world

from archive.write.volume import Volume
from portability.api import Field, FieldType, Gap, Provenance, Record, Role
from portability.api.errors import StorageUnavailable
from portability.database import incidents
from portability.database.engine import open_engine, writing
from portability.law.profiles import Profile
from portability.requests import approvals, retries
from portability.requests.policy import Actor

pytestmark = [pytest.mark.requirement("R22"), pytest.mark.slow]
CARD, NIK = "4111 1111 1111 1111", "3578080102030001"
MARKED = "[masked:card-number:1111]"
WITH_MORE = dataset(
    "things", Role.CONTROLLER, Field("more", FieldType.OBJECT, "Anything.", Provenance.OBSERVED),
    Field("number", FieldType.INTEGER, "A number.", Provenance.OBSERVED),
)  # fmt: skip


def spoken(count: int = 12) -> list[Record]:
    """Things, every fourth of which contains a card number, and one a NIK."""
    made: list[Record] = []
    for n, thing in enumerate(things(count)):
        said: Record | None = {"said": f"ini {CARD} ya"} if n % 4 == 1 else None
        made.append({**thing, "more": said, "number": 4111111111111111 if n == 2 else n})
    return [*made, {"id": "last", "text": f"NIK {NIK}", "more": None, "number": None}]


def exporter(**changes: Any) -> MadeUpExporter:
    return MadeUpExporter(spoken(), **{"datasets": (WITH_MORE,), **changes})


def ledger(made: World, identifier: str) -> Mapping[str, Any]:
    (line,) = made.view(identifier)["datasets"]
    return dict(line)


@pytest.mark.parametrize("formats", [["jsonl", "csv"], ["csv", "jsonl"], ["csv"]])
def test_a_card_number_is_masked_in_all_that_is_delivered(tmp_path: Path, formats: list[str]) -> None:
    """In every format, the viewer, and counted once; the dataset is `redacted` and the export complete."""
    made = world(tmp_path, {"made": exporter()})
    identifier = made.request(formats=formats)
    made.advance_all()
    paths = made.fetch(identifier)
    (line,) = export_json(paths)["datasets"]

    assert made.verify(paths).ok
    assert (line["state"], line["redactions"], line.get("findings")) == (
        "with_remarks",
        {"card-number": 4, "nik": 1},
        None,
    )
    assert made.view(identifier)["complete"]
    for name, body in members(paths):
        assert b"1111 1111" not in body, name
        assert b"4111111111111111" not in body, name
        assert NIK.encode() not in body, name
    viewer = dict(members(paths))["viewer/data/made.things.js"].decode()
    assert viewer.count("[masked:card-number:1111]") == 3
    if "jsonl" in formats:
        wanted = [{**one, "number": None if one["number"] == 4111111111111111 else one["number"]} for one in spoken()]
        text = orjson.dumps(wanted).decode().replace(CARD, MARKED).replace(NIK, "[masked:nik]")
        assert records(paths, "made", "things") == orjson.loads(text)


def test_switch_reports_only(tmp_path: Path) -> None:
    """A company gets its data unchanged, and a report of the findings; canaries as well."""
    source = MadeUpExporter([*spoken(), {"id": "c", "text": "portability-canary-1"}], datasets=(WITH_MORE,))
    made = world(tmp_path, {"made": source})
    identifier = made.request("tenant:ten_1", profile=Profile.SWITCH)
    made.advance_all()
    (line,) = export_json(made.fetch(identifier))["datasets"]

    assert (line["state"], line.get("redactions")) == ("complete", None)
    assert line["findings"] == {"canary": 1, "card-number": 4, "nik": 1}
    assert records(made.fetch(identifier), "made", "things")[1]["more"] == {"said": f"ini {CARD} ya"}


def test_a_canary_blocks_the_export(tmp_path: Path) -> None:
    """Nothing is delivered, an operator is informed, and the message has rule and dataset, but nothing of the value."""
    leak: list[Record] = [*things(9), {"id": "x", "text": "HONEY-users-password_hash"}]
    made = world(tmp_path, {"made": MadeUpExporter(leak)}, scan_canaries="HONEY-", volume_bytes=1 << 16)
    identifier = made.request()
    made.advance_all()
    view = made.view(identifier)

    assert (view["state"], view["error"]["code"]) == ("failed", "scan_blocked")
    assert "things" in view["error"]["message"]
    assert "canary (1)" in view["error"]["message"]
    assert "HONEY" not in str(view)
    assert made.fetch(identifier) == []
    assert {row["kind"]: row["count"] for row in incidents.counted(made.engine)} == {"scan_blocked": 1}


def test_a_blocked_export_is_made_anew_once_the_source_is_right(tmp_path: Path) -> None:
    """Staff can act: the exporter is corrected, the request is retried, and nothing of the first attempt is left."""
    source = MadeUpExporter([*things(3), {"id": "x", "text": "portability-canary-7"}])
    made = world(tmp_path, {"made": source})
    identifier = made.request()
    made.advance_all()
    source.records = things(3)
    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor="operator:test")
    made.advance_all()
    view = made.view(identifier)

    assert (view["state"], view["complete"], view["error"]) == ("ready", True, None)
    assert "findings" not in export_json(made.fetch(identifier))["datasets"][0]


def test_the_setting_decides_by_kind(tmp_path: Path) -> None:
    """Where the law leaves it, a deployment may give people identity numbers, and block on cards."""
    made = world(
        tmp_path, {"made": MadeUpExporter([spoken()[-1]], datasets=(WITH_MORE,))}, scan_actions="id-number=report"
    )
    identifier = made.request()
    made.advance_all()
    strict = world(tmp_path / "strict", {"made": exporter()}, scan_actions="card=block")
    blocked = strict.request()
    strict.advance_all()

    assert (ledger(made, identifier)["state"], ledger(made, identifier)["findings"]) == ("complete", {"nik": 1})
    assert strict.view(blocked)["error"]["code"] == "scan_blocked"


def test_names_and_files_of_text(tmp_path: Path) -> None:
    """Names of files and what gaps say are masked; a text file leaves as it is, and is a finding."""
    note = file("note.txt", f"saya: {CARD}\n".encode())
    files = {0: [file(f"{CARD}.wav", b"sound"), type(note)(note.name, "text/plain", note.size, note.open)]}
    gaps = {0: [Gap(f"things/{NIK}", "missing")]}
    made = world(tmp_path, {"made": MadeUpExporter(things(3), files=files, gaps=gaps)})
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    names = [name for name, _body in members(paths) if name.startswith("data/made/things/")]
    (line,) = export_json(paths)["datasets"]

    assert (line["redactions"], line["findings"]) == ({"card-number": 1, "nik": 1}, {"card-number": 1})
    assert [gap["what"] for gap in export_json(paths)["gaps"]] == ["things/[masked:nik]"]
    assert len(names) == 2
    assert not any("4111" in name for name in names)
    assert dict(members(paths))["data/made/things/note.txt"] == f"saya: {CARD}\n".encode()


@pytest.mark.parametrize("cut", [False, True], ids=["one slice", "slices"])
def test_a_volume_that_is_written_again_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cut: bool
) -> None:
    """The counts of a dead worker are lost with its volume: the result is the same for any number of attempts."""
    kind = CutExporter if cut else MadeUpExporter
    source = kind(spoken(4000), batch_records=100, datasets=(WITH_MORE,))
    limits: dict[str, Any] = {
        "volume_bytes": 1 << 16,
        "piece_bytes": 1 << 14,
        "slice_bytes": 1 << 18,
        "attempts_max": 9,
    }
    undisturbed = world(tmp_path / "a", {"made": source}, **limits)
    first = undisturbed.request()
    undisturbed.advance_all()
    seal, tried = Volume.seal, iter(range(1000))

    def failing(*arguments: Any, **named: Any) -> Any:
        if next(tried) % 2 == 0:
            raise StorageUnavailable("gone")
        return seal(*arguments, **named)

    monkeypatch.setattr(Volume, "seal", failing)
    disturbed = world(tmp_path / "b", {"made": source}, **limits)
    second = disturbed.request()
    disturbed.advance_all()

    assert ledger(undisturbed, first)["redactions"] == {"card-number": 1001, "nik": 1}
    assert ledger(disturbed, second)["redactions"] == ledger(undisturbed, first)["redactions"]
    assert len(disturbed.fetch(second)) > 1


def test_secret_columns_full_of_canaries_leak_nowhere(tmp_path: Path) -> None:
    """The built-in exporters, a canary in every column that must not leave: nothing blocks, and all is described."""
    engine = open_engine(f"sqlite:///{tmp_path}/platform.sqlite")
    platform.fill(engine)
    made = world(tmp_path, dict(platform.exporters(engine)), scan_canaries=platform.CANARY)
    identifier = made.request("user:usr_1", formats=["jsonl", "csv", "vcon"])
    made.advance_all()
    document = export_json(made.fetch(identifier))
    withheld = {(one["exporter"], one["dataset"], one["what"]) for one in document["withheld"]}

    assert made.view(identifier)["state"] == "ready"
    assert ("account", "profile", "a bcrypt hash of your password") in withheld
    assert all(
        one["reason"] and one["kind"] in {"secret", "trade_secret", "other_person"} for one in document["withheld"]
    )
    engine.dispose()


def test_what_is_not_held_is_not_described(tmp_path: Path) -> None:
    """A dataset without a record of the subject says nothing of what stands beside its records."""
    engine = open_engine(f"sqlite:///{tmp_path}/platform.sqlite")
    platform.fill(engine)
    made = world(tmp_path, dict(platform.exporters(engine)))
    identifier = made.request("user:usr_nobody")
    made.advance_all()
    with writing(made.engine) as connection:
        approvals.approve(connection, identifier, actor=Actor("officer", "olga"))  # no source knows this user
    made.advance_all()

    assert export_json(made.fetch(identifier))["withheld"] == []
    engine.dispose()
