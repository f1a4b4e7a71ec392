"""One person and their company in all three profiles: what each archive contains and leaves out, as agreed.

`LEDGERS=1 .venv/bin/pytest tests/golden/test_ledgers.py` writes them again; the difference is to be read line by line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from archives import export_json, members, records
from judges.cases import Platform, exported, platform

from demo.plan import SeedPlan
from portability.law.profiles import Profile

HERE = Path(__file__).parent / "ledgers"
PLAN = SeedPlan(
    tenants=2,
    users=4,
    contacts=6,
    calls=8,
    chats=6,
    events=60,
    recordings=4,
    recording_seconds=(0.25, 0.25),
    hostile_share=0.0,
)
PIECE = re.compile(r"data/(?P<exporter>[^/]+)/(?P<dataset>[^/]+?)(-\d{4})?\.(jsonl|csv)")
Volumes: TypeAlias = Mapping[Profile, list[Path]]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volumes]:
    """The archives of a person with an account who is also a contact of a company, and of that company."""
    with platform(tmp_path_factory.mktemp("platform"), PLAN) as made:
        yield {profile: _archive(made, profile) for profile in Profile}


def _archive(made: Platform, profile: Profile) -> list[Path]:
    kind, identifier = ("tenant", made.examples.tenant) if profile is Profile.SWITCH else ("user", made.examples.user)
    return list(exported(made.world, f"{kind}:{identifier}", profile=profile).volumes)


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("profile", list(Profile))
def test_a_profile_holds_what_was_agreed(volumes: Volumes, profile: Profile) -> None:
    """Datasets with their states and counts, what is left out and why, and the names of all files."""
    found = _contents(volumes[profile])
    path = HERE / f"{profile}.json"
    if os.environ.get("LEDGERS"):
        path.write_text(json.dumps(found, indent=1) + "\n")

    assert found == json.loads(path.read_text())


@pytest.mark.requirement("R4")
def test_nothing_is_silently_missing(volumes: Volumes) -> None:
    """Every dataset of the register is in the ledger or among what is left out, with a reason, in every profile."""
    named = []
    for paths in volumes.values():
        document = export_json(paths)
        assert all(left["reason"] for left in document["not_included"])
        named.append(
            {(line["exporter"], line["dataset"]) for line in (*document["datasets"], *document["not_included"])}
        )

    assert named[0] == named[1] == named[2]
    assert len(named[0]) > 40


@pytest.mark.requirement("R3")
def test_portability_holds_nothing_that_was_inferred(volumes: Volumes) -> None:
    """No dataset and no field of the archive is derived; in a copy for access there are some."""
    assert "derived" not in _provenances(volumes[Profile.PORTABILITY])
    assert "derived" in _provenances(volumes[Profile.ACCESS])


@pytest.mark.requirement("R6")
def test_what_is_linked_to_a_pseudonym_is_personal_data(volumes: Volumes) -> None:
    """Identifiers of browsers and devices are in the copy, though no name stands beside them (recital 26)."""
    held = {name for name, line in _lines(volumes[Profile.ACCESS]).items() if line["records"]}

    assert {"cookies/analytics_ids", "devices/devices", "devices/ip_addresses"} <= held


@pytest.mark.requirement("R26")
def test_the_trail_names_no_member_of_staff(volumes: Volumes) -> None:
    """Each look at the data with its date and purpose, and in which role, not by whom (CJEU C-579/21)."""
    trail = records(volumes[Profile.ACCESS], "trail", "processing_trail")

    assert trail
    assert {"operation", "purpose", "actor_role", "occurred_at"} <= set(trail[0])
    assert not {name for name in trail[0] if name.startswith(("staff", "actor_name", "actor_id"))}


@pytest.mark.requirement("R30")
def test_a_record_has_one_id_in_every_archive(volumes: Volumes) -> None:
    """A correction or an erasure refers to it; the company's archive has it under the same id."""
    access, switch = (_ids(volumes[profile]) for profile in (Profile.ACCESS, Profile.SWITCH))
    portability = _ids(volumes[Profile.PORTABILITY])

    assert all(len(set(ids)) == len(ids) for ids in access.values())
    assert all(set(portability[name]) <= set(access[name]) for name in portability)
    assert set(access["calls/calls"]) <= set(switch["calls/calls"])
    assert set(access["calls/calls"])


@pytest.mark.requirement("R31")
def test_a_company_gets_its_digital_assets_and_no_ones_private_data(volumes: Volumes) -> None:
    """Configuration and access settings belong to it; its staff's own cookies, devices and inquiries do not."""
    held = {name for name, line in _lines(volumes[Profile.SWITCH]).items() if line["records"]}
    private = ("marketing/", "cookies/", "devices/", "usage/", "inquiries/", "trail/processing", "performance/")

    assert {"configuration/agents", "configuration/flows", "configuration/roles", "crm/contacts"} <= held
    assert not [name for name in held if name.startswith(private)]


@pytest.mark.requirement("R33")
def test_who_asks_for_nothing_in_particular_gets_all_of_it(volumes: Volumes) -> None:
    """One request, all layers: the first page, the viewer, and every category that is processed."""
    names = {name for name, _body in members(volumes[Profile.ACCESS])}

    assert {"README.html", "index.html", "export.json", "datapackage.json"} <= names
    assert not [
        left for left in export_json(volumes[Profile.ACCESS])["not_included"] if left["reason"] == "not_asked_for"
    ]


def _contents(paths: list[Path]) -> dict[str, Any]:
    document = export_json(paths)
    keys = ("state", "records", "files", "gaps", "redactions", "findings", "tenants")
    lines = _lines(paths)
    left = {f"{one['exporter']}/{one['dataset']}": one["reason"] for one in document["not_included"]}
    names = sorted({_plain(name) for name, _body in members(paths)})
    return {
        "datasets": {name: {key: line[key] for key in keys if line.get(key)} for name, line in lines.items()},
        "not_included": left,
        "files": names,
    }


def _plain(name: str) -> str:
    """Ids of vCons and recordings are those of the seed; a viewer's data files are counted by others."""
    return re.sub(r"^viewer/.*", "viewer/...", name)


def _lines(paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {f"{line['exporter']}/{line['dataset']}": line for line in export_json(paths)["datasets"]}


def _provenances(paths: list[Path]) -> set[str]:
    found = set()
    for name, body in members(paths):
        if name == "datapackage.json":
            resources = json.loads(body)["resources"]
            schemas = [resource["schema"] for resource in resources if "schema" in resource]
            found |= {resource["x-provenance"] for resource in resources}
            found |= {
                field["x-provenance"]
                for schema in schemas
                for field in schema["fields"]
                if field["name"] not in schema["primaryKey"]
            }
    return found


def _ids(paths: list[Path]) -> dict[str, list[str]]:
    datasets = {
        match.group("exporter", "dataset") for name, _body in members(paths) if (match := PIECE.fullmatch(name))
    }
    return {
        f"{exporter}/{dataset}": [str(record["id"]) for record in records(paths, exporter, dataset)]
        for exporter, dataset in sorted(datasets)
        if dataset != "recordings"
    }
