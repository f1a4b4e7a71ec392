"""An export keeps the maps with which it was planned, whatever becomes of their files."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import crm_database
import factories
import pytest
from archives import export_json
from factories import World
from gap_sources import retry_gaps
from repository import ROOT
from sqlalchemy import select

from exporters.sql.mapped.exporter import MappedExporter
from portability.api.errors import BadMap
from portability.database import models
from portability.database.engine import reading, writing
from portability.plugins import find
from portability.source_file import read_sections
from portability.sources import PlatformSources, open_exporters
from worker.export import advance
from worker.plan.planned_maps import as_planned

SOURCES = """[crm]
trusts = []
kind = "sql"
url = "env:CRM_URL"
map = "crm.toml"
files = "env:CRM_FILES"
"""


@pytest.fixture
def crm_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A worker whose file of sources names the CRM; a volume has few tasks."""
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    crm_database.fill(url, url).run("update tasks set text = text || hex(randomblob(200))")
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("CRM_URL", url)
    monkeypatch.setenv("CRM_FILES", f"file://{tmp_path / 'files'}")
    (tmp_path / "sources.toml").write_text(SOURCES)
    (tmp_path / "crm.toml").write_text(crm_database.MAP.read_text())
    assert "sql" in find("portability.source_kinds")
    return started_anew(
        factories.world(
            tmp_path, {}, source_url=url, sources=tmp_path / "sources.toml", volume_bytes=65_536, piece_bytes=16_384
        )
    )


def started_anew(world: World) -> World:
    """The same deployment after its processes have started anew."""
    read_sections.cache_clear()
    settings = world.place.settings
    return replace(world, place=replace(world.place, exporters=open_exporters(settings, PlatformSources(settings))))


def with_changed_map(world: World, old: str, new: str) -> World:
    """The deployment with another map."""
    path = world.folder / "crm.toml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return started_anew(world)


def closing_and_tasks(world: World, export: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """export.json, and all tasks of the archive."""
    tasks: list[dict[str, object]] = []
    closing: dict[str, object] = {}
    for path in world.fetch(export):
        with zipfile.ZipFile(path) as volume:
            for name in volume.namelist():
                if name.endswith("/export.json"):
                    closing = json.loads(volume.read(name))
                elif "/crm/tasks" in name and name.endswith(".jsonl"):
                    tasks += map(json.loads, volume.read(name).decode().splitlines())
    return closing, tasks


def test_the_map_changes_between_two_volumes(crm_world: World) -> None:
    """All volumes have the fields of the first map, and export.json names it; the next export has the new map."""
    first = hashlib.sha256(crm_database.MAP.read_bytes()).hexdigest()
    export = crm_world.request("tenant:org_a", profile="switch")
    held = crm_world.claim()
    assert held is not None
    advance(crm_world.place, held)
    assert crm_world.view(export)["state"] != "ready"

    later = with_changed_map(crm_world, 'text = { text = "What was to be done.", third_party = true }\n', "")
    later.advance_all()

    closing, tasks = closing_and_tasks(later, export)
    assert len(closing["volumes"]) > 1  # type: ignore[arg-type]  # a list
    assert closing["maps"] == [{"exporter": "crm", "name": "crm.toml", "sha256": first}]
    assert len(tasks) == crm_database.TASKS + 1
    assert {tuple(task) for task in tasks} == {("id", "deal", "text")}

    export = later.request("tenant:org_a", profile="switch")
    later.advance_all()
    closing, tasks = closing_and_tasks(later, export)
    second = hashlib.sha256((later.folder / "crm.toml").read_bytes()).hexdigest()
    assert closing["maps"] == [{"exporter": "crm", "name": "crm.toml", "sha256": second}]
    assert {tuple(task) for task in tasks} == {("id", "deal")}
    with reading(later.engine) as connection:
        assert set(connection.scalars(select(models.source_map.c.sha256))) == {first, second}


def test_one_export_reads_several_databases(crm_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each section has a database of its own, also where two have the same map; export.json names both maps."""
    url = f"sqlite:///{crm_world.folder / 'other.db'}"
    crm_database.fill(url, url).run("delete from tasks where id >= 3")
    monkeypatch.setenv("OTHER_URL", url)
    other = SOURCES.replace("[crm]", "[other]").replace("CRM_URL", "OTHER_URL")
    (crm_world.folder / "sources.toml").write_text(f"{SOURCES}\n{other}")
    both = started_anew(crm_world)
    export = both.request("tenant:org_a", profile="switch")
    both.advance_all()

    closing, tasks = closing_and_tasks(both, export)
    assert [(one["exporter"], one["name"]) for one in closing["maps"]] == [  # type: ignore[attr-defined]  # a list
        ("crm", "crm.toml"),
        ("other", "crm.toml"),
    ]
    assert len(tasks) == crm_database.TASKS + 1
    records = {
        (line["exporter"], line["dataset"]): line["records"]
        for line in closing["datasets"]  # type: ignore[attr-defined]  # a list
    }
    assert (records["crm", "tasks"], records["other", "tasks"]) == (crm_database.TASKS + 1, 3)


def test_connections_are_closed_before_a_fork(crm_world: World) -> None:
    """What the sections have opened is closed with all other connections: a fork would share them."""
    sources = PlatformSources(crm_world.place.settings)
    exporter = open_exporters(crm_world.place.settings, sources)["crm"]
    assert isinstance(exporter, MappedExporter)
    database = exporter._section.sources.database
    exporter.prepare()
    assert database.pool.checkedin() == 1  # type: ignore[attr-defined]  # a queue's method
    sources.close()
    assert database.pool.checkedin() == 0  # type: ignore[attr-defined]  # as above


def test_a_text_that_is_lost_is_named(crm_world: World) -> None:
    """An export whose map is in no backup does not continue with another map."""
    export = crm_world.request("tenant:org_a", profile="switch")
    held = crm_world.claim()
    assert held is not None
    advance(crm_world.place, held)
    later = with_changed_map(crm_world, 'title = "Tasks"', 'title = "Jobs"')
    with writing(later.engine) as connection:
        connection.execute(models.source_map.delete())
    with reading(later.engine) as connection:
        row = connection.execute(select(models.export).where(models.export.c.id == export)).mappings().one()
    with pytest.raises(BadMap, match=r"the text of the map crm.toml of crm is lost"):
        as_planned(later.place, row)


@pytest.mark.slow
def test_a_retry_does_not_deliver_what_a_later_map_declares(crm_world: World) -> None:
    """The gap stays with the map of the export, and a new request has the key. The page and the runbook say so."""
    made = with_changed_map(crm_world, 'role = "processor"', 'role = "controller"')
    url = f"sqlite:///{made.folder / 'crm.db'}"
    crm_database.CrmDatabase(url, url).run("update deals set custom = '{\"b\": 1}'")

    def undecided(export: str) -> set[str]:
        return {gap["what"] for gap in export_json(made.fetch(export))["gaps"] if "custom" in gap["what"]}

    export = made.request("contact:con_1", tenant="org_a", include=["crm"])
    made.advance_all()
    assert undecided(export) == {"deals/custom/b"}
    made = with_changed_map(made, 'keys = ["/a"]', 'keys = ["/a", "/b"]')
    retry_gaps(made, export)
    assert undecided(export) == {"deals/custom/b"}
    export = made.request("contact:con_1", tenant="org_a", include=["crm"])
    made.advance_all()
    assert undecided(export) == set()

    runbook = (ROOT / "docs" / "runbooks" / "CoverageUndecided.md").read_text()
    assert "make a new request" in runbook
    assert "`retry --gaps` does not close" in (ROOT / "docs" / "other-people.md").read_text()
