"""A format never stops verifying: archives of every released version, whole and broken, give what they always gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archives import export_json
from gap_sources import delivered_files, delivered_records

from archive.parts import FORMAT
from archive.verify.archives import verify
from portability.trust.signing import Jwks

HERE = Path(__file__).parent
CASES = [
    pytest.param(listed.parent, case, id=f"{listed.parent.name} {case['name']}")
    for listed in sorted(HERE.glob("*/cases.json"))
    for case in json.loads(listed.read_text())
]


@pytest.mark.requirement("R37")
@pytest.mark.parametrize(("folder", "case"), CASES)
def test_a_golden_archive_verifies_as_it_always_did(folder: Path, case: dict[str, Any]) -> None:
    """The same verdict, the same codes on the same files, the same counts."""
    jwks = Jwks.parse(json.loads((folder / case["jwks"]).read_text()))

    result = verify([folder / name for name in case["volumes"]], jwks, partial=case["partial"])

    assert [(fault.code, fault.volume, fault.file) for fault in result.errors] == [
        (error["code"], error["volume"], error["file"]) for error in case["errors"]
    ]
    assert (result.ok, result.files, result.bytes) == (case["ok"], case["files"], case["bytes"])


@pytest.mark.parametrize(("folder", "case"), [case for case in CASES if "with gaps" in str(case.id)])
def test_a_golden_archive_with_gaps_names_them(folder: Path, case: dict[str, Any]) -> None:
    """It verifies, and says itself that it is not complete, and what is missing."""
    document = export_json([folder / name for name in case["volumes"]])

    assert document["complete"] is False
    assert {(gap["dataset"], gap["reason"]) for gap in document["gaps"]} == {("recordings", "missing")}


def test_a_golden_archive_has_corrections() -> None:
    """Any program finds the record as it is now: a later correction with the same key replaces it."""
    volumes = sorted((HERE / "portability-1-corrections").glob("*.zip"))

    assert delivered_records(volumes)["thing_1"]["text"] == "text 1"
    assert delivered_records(volumes[:1])["thing_1"]["text"] is None
    assert sorted(delivered_files(volumes)) == [f"{number}.wav" for number in range(4)]
    assert export_json(volumes)["complete"] is True


def test_the_present_format_has_golden_archives() -> None:
    """A new format version comes with its own; make.py writes them."""
    assert (HERE / FORMAT.replace("/", "-") / "cases.json").exists()


def test_every_golden_file_belongs_to_a_case() -> None:
    """Nothing lies here that no test looks at."""
    for folder in (path for path in HERE.iterdir() if (path / "cases.json").exists()):
        cases = json.loads((folder / "cases.json").read_text())
        named = {name for case in cases for name in [*case["volumes"], case["jwks"]]}

        assert {path.name for path in folder.iterdir()} == named | {"cases.json"}


def test_no_private_key_is_kept() -> None:
    """With it, anyone could sign another archive that these keys verify."""
    sets = [json.loads(path.read_text()) for path in HERE.glob("*/jwks*.json")]

    assert sets
    assert {name for keys in sets for key in keys["keys"] for name in key}.isdisjoint({"d", "k", "p", "q"})
