"""The format `portability/1` is frozen: an archive of today has all that the frozen archive has."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest
from frozen_export import frozen_archive

FROZEN = Path(__file__).parent / "portability-1-frozen"
BY_ID = frozenset({"x-labels", "x-translations", "translations", "title", "description"})
"""Objects whose keys are values or languages, not names of the format."""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen volume, unpacked."""
    (path,) = FROZEN.glob("*.zip")
    return _unpacked(path, tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same export by today's writer, unpacked."""
    folder = tmp_path_factory.mktemp("present")
    (path,) = frozen_archive(folder).volumes
    return _unpacked(path, folder)


@pytest.mark.requirement("R37")
def test_no_file_is_renamed_or_removed(frozen: Path, present: Path) -> None:
    """Ids of records are those of the seed, so paths are comparable; the viewer's own scripts may change."""
    assert _paths(frozen) - _paths(present) == set()


@pytest.mark.requirement("R37")
@pytest.mark.parametrize("name", ["datapackage.json", "counts.json", "export.json", "notice.json"])
def test_no_property_is_renamed_or_removed(frozen: Path, present: Path, name: str) -> None:
    """Each path of names in a document is there today, with a type that it had."""
    before, now = (dict(_properties(json.loads((bag / name).read_text()))) for bag in (frozen, present))

    assert {path for path in before if path not in now} == set()


@pytest.mark.requirement("R37")
def test_no_column_and_no_claim_is_removed(frozen: Path, present: Path) -> None:
    """Fields of datasets with their types, properties of vCons, and claims of the signature."""
    assert _columns(frozen).items() <= _columns(present).items()
    assert _claims(frozen) <= _claims(present)
    for document in frozen.rglob("*.vcon.json"):
        today = json.loads((present / document.relative_to(frozen)).read_text())
        assert set(dict(_properties(json.loads(document.read_text())))) <= set(dict(_properties(today)))


def test_the_frozen_archive_describes_and_loads_itself(frozen: Path, tmp_path: Path) -> None:
    """Foreign keys, enumerations, labels, transcripts for players, and the program that it brought along."""
    resources = json.loads((frozen / "datapackage.json").read_text())["resources"]
    schemas = {resource["path"]: resource["schema"] for resource in resources if "schema" in resource}
    keys = [key["fields"] for key in schemas["data/calls/transcripts.csv"]["foreignKeys"]]
    direction = next(one for one in schemas["data/calls/calls.csv"]["fields"] if one["name"] == "direction")
    target = tmp_path / "my-data.sqlite"
    subprocess.run([sys.executable, "-I", "-S", frozen / "load.py", target], check=True, capture_output=True)
    with closing(sqlite3.connect(target)) as database:
        (calls,) = database.execute("select count(*) from calls_calls").fetchone()

    assert ["call_id"] in keys
    assert direction["constraints"]["enum"] == ["inbound", "outbound"]
    assert direction["x-labels"]["inbound"] == {"de": "Eingehend", "en": "Inbound", "id": "Masuk"}
    assert calls == next(one["x-records"] for one in resources if one["path"] == "data/calls/calls.csv") > 0
    assert list((frozen / "data/transcripts").rglob("*.vtt"))


def _unpacked(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder / path.stem


def _paths(bag: Path) -> set[str]:
    paths = (path.relative_to(bag) for path in bag.rglob("*") if path.is_file())
    return {str(path) for path in paths if path.parts[0] != "viewer"}


def _properties(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every path of names below a value, without the places in lists."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield (*path, name), type(inner).__name__
            if name not in BY_ID:
                yield from _properties(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _properties(inner, path)


def _columns(bag: Path) -> dict[tuple[str, str], str]:
    resources = json.loads((bag / "datapackage.json").read_text())["resources"]
    tables = [resource for resource in resources if "schema" in resource]
    return {
        (f"{table['x-exporter']}/{table['x-dataset']}", field["name"]): field["type"]
        for table in tables
        for field in table["schema"]["fields"]
    }


def _claims(bag: Path) -> set[str]:
    return set(jwt.decode((bag / "signature.jwt").read_text(), options={"verify_signature": False}))
