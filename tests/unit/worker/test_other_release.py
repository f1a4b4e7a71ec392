"""Rows that another release has written: read as they were meant, or reported; never ignored silently."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import platform_data as platform
import pytest
from archives import export_json, records
from factories import MadeUpExporter, World, dataset, described, file, things, world

from exporters.reference import schema
from portability.api import Identity, Role, Subject
from portability.database import incidents
from portability.database.engine import open_engine, writing
from portability.law import notice
from portability.plugins import load_exporters
from portability.requests import instructions
from portability.settings import load_settings
from portability.sources import PlatformSources
from worker import export, prepare
from worker.claim import fenced_writes

pytestmark = pytest.mark.slow


def incident_counts(made: World) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in incidents.counted(made.engine)}


@pytest.mark.parametrize("cursor", ["garbage", "[]", '["2026-01-01T00:00:00Z"]', '{"id": 1}', "[1, 2, 3]", "[[], {}]"])
def test_a_cursor_of_another_version_is_a_gap(tmp_path: Path, cursor: str) -> None:
    """A built-in exporter refuses a foreign cursor: the rest of the dataset is reported missing, and counted."""
    settings = load_settings(dir=tmp_path)
    source = open_engine(settings.source)
    with writing(source) as connection:
        schema.metadata.create_all(connection)
    platform.put(source, platform.row(schema.users, "usr_1"))
    made = world(tmp_path, load_exporters(PlatformSources(settings)))
    identifier = made.request()
    _freeze(made, {"reading": 0, "after": cursor, "piece": 1, "files": None})
    made.advance_all()
    first = export_json(made.fetch(identifier))["datasets"][0]
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    assert (first["state"], first["reason"]) == ("partial", "exporter_fault")
    assert incident_counts(made) == {"exporter_fault": 1}


@pytest.mark.parametrize("position", [{"what": 1}, [], "x", {"reading": None, "after": 1, "piece": "", "files": 7}])
def test_a_position_that_cannot_be_read_fails_the_export(tmp_path: Path, position: object) -> None:
    """A row that another hand has changed: a clear end, with a code, and nothing that looks like an archive."""
    made = world(tmp_path, {"made": MadeUpExporter(things(9))}, attempts_max=2)
    identifier = made.request()
    _freeze(made, position)
    made.advance_all()
    assert (made.view(identifier)["state"], made.view(identifier)["error"]["code"]) == ("failed", "volume_fault")
    assert made.view(identifier)["volumes"] == []


def _freeze(made: World, position: object) -> None:
    """Plan the export, and have its next volume begin at a position that no worker has written."""
    held = made.claim()
    assert held is not None
    prepare.write_plan(made.place, held, prepare.job(made.place, held, lambda: None))
    with writing(made.engine) as connection:
        fenced_writes.settle(connection, held, position=position)


def half_way(made: World, **asked: object) -> str:
    """An export whose first volume is full, so that the second begins within the first dataset."""
    identifier = made.request(**asked)  # type: ignore[arg-type]  # the callers know
    held = made.claim()
    assert held is not None
    export.advance(made.place, held)
    assert made.view(identifier)["state"] == "running"
    return identifier


def large(*names: str) -> MadeUpExporter:
    """Each dataset fills a volume with its first batch."""
    files = {0: [file("a.wav", secrets.token_bytes(200_000))]}
    return MadeUpExporter(things(9), files=files, datasets=tuple(dataset(name) for name in names))


def test_a_dataset_that_is_new_does_not_move_the_others(tmp_path: Path) -> None:
    """A plug-in is upgraded between two volumes: a position means what it meant; what is new waits for others."""
    exporters = {"made": large("a", "b")}
    made = world(tmp_path, exporters, volume_bytes=65_536)
    identifier = half_way(made)
    exporters["made"] = large("new", "a", "b")
    exporters["before"] = large("newer")
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    assert made.view(identifier)["complete"] is True
    assert [(line["dataset"], line["records"]) for line in export_json(paths)["datasets"]] == [("a", 9), ("b", 9)]
    for name in ("a", "b"):
        assert [row["id"] for row in records(paths, "made", name)] == [f"thing_{n}" for n in range(9)]


def test_a_dataset_that_is_gone_fails_the_export(tmp_path: Path) -> None:
    """Not an archive that lacks it in silence: a code, and the name of what to install again."""
    exporters = {"made": large("a", "b")}
    made = world(tmp_path, exporters, volume_bytes=65_536, attempts_max=2)
    identifier = half_way(made)
    exporters["made"] = large("a")
    made.advance_all()
    assert made.view(identifier)["state"] == "failed"
    assert made.view(identifier)["error"]["code"] == "volume_fault"
    assert "made/b" in made.view(identifier)["error"]["message"]


class OfTwoTenants(MadeUpExporter):
    """The user is a contact of two tenants, and says so."""

    def identities(self, _subject: Subject) -> Sequence[Identity]:
        return [Identity("platform", "contact_id", f"con_{n}", verified=True, tenant=f"ten_{n}") for n in (1, 2)]


def test_an_instruction_that_is_new_does_not_move_the_others(tmp_path: Path) -> None:
    """Data released by a tenant while the export runs is in the next export; what is read goes to its own line."""
    files = {0: [file("a.wav", secrets.token_bytes(200_000))]}
    exporter = OfTwoTenants(things(9), files=files, datasets=(dataset("held", Role.PROCESSOR), dataset("own")))
    made = world(tmp_path, {"made": exporter}, volume_bytes=65_536)
    instruct(made, "ten_1")
    identifier = half_way(made)
    instruct(made, "ten_2")
    made.advance_all()
    lines = export_json(made.fetch(identifier))["datasets"]
    assert [(line["dataset"], line["state"], line["records"]) for line in lines] == [
        ("held", "complete", 9),
        ("held", "needs_instruction", 0),
        ("own", "complete", 9),
    ]
    assert [line["tenants"] for line in lines if line["state"] == "needs_instruction"] == [["ten_2"]]


@pytest.mark.requirement("R1")
@pytest.mark.parametrize("left", [0, 1])
def test_an_instruction_that_is_withdrawn_leaves_a_gap(tmp_path: Path, left: int) -> None:
    """What was stored stays, nothing more is read for that tenant, and the archive says that something is missing."""
    files = {0: [file("a.wav", secrets.token_bytes(200_000))]}
    exporter = OfTwoTenants(things(9), files=files, datasets=(dataset("own"), dataset("held", Role.PROCESSOR)))
    made = world(tmp_path, {"made": exporter}, volume_bytes=65_536)
    orders = [instruct(made, f"ten_{number}") for number in (1, 2)]
    identifier = half_way(made)
    with writing(made.engine) as connection:
        for order in orders[left:]:
            instructions.withdraw(connection, order, actor="operator:test")
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    own, held = export_json(paths)["datasets"]
    assert (own["state"], held["state"], held["records"], held["gaps"]) == ("complete", "partial", 9 * left, 1)
    (gap,) = export_json(paths)["gaps"]
    assert (gap["reason"], gap["retryable"]) == ("instruction_withdrawn", False)
    assert ("ten_1" in gap["what"], "ten_2" in gap["what"]) == (left == 0, True)


def instruct(made: World, tenant: str) -> str:
    with writing(made.engine) as connection:
        return instructions.add(connection, tenant, contact_id=None, exporters=None, actor="operator:test")


def test_a_register_that_changes_meanwhile_changes_no_export_that_has_begun(tmp_path: Path) -> None:
    """What was portable when the plan was made is read to its end; the next export goes by the new register."""
    folder = described(tmp_path / "notice", "made/a", "made/b")
    made = world(tmp_path, {"made": large("a", "b")}, volume_bytes=65_536, notice_dir=folder)
    identifier = half_way(made, profile="portability")
    described(folder, "made/a", "made/b", purpose="comply", basis="law")
    notice.load.cache_clear()
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert [(line["dataset"], line["records"]) for line in document["datasets"]] == [("a", 9), ("b", 9)]
    assert document["not_included"] == []
    after = made.request(profile="portability")
    made.advance_all()
    assert [left["reason"] for left in export_json(made.fetch(after))["not_included"]] == ["no_consent_or_contract"] * 2
