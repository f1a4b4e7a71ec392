"""The notice of an export has the rights of the laws that apply to its subject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archives import members
from factories import MadeUpExporter, described, things, world

pytestmark = pytest.mark.slow

REGIMES = """
[ccpa]
countries = ["US"]
"""


@pytest.mark.requirement("R25")
@pytest.mark.parametrize(("residence", "laws"), [("DE", ["GDPR"]), (None, ["GDPR", "CCPA, Cal. Civ. Code"])])
def test_the_residence_decides_which_rights_are_listed(tmp_path: Path, residence: str | None, laws: list[str]) -> None:
    """The residence that the request states excludes the law of another country; without it no law is excluded."""
    (tmp_path / "regimes.toml").write_text(REGIMES)
    settings: dict[str, Any] = {"regimes": "gdpr,ccpa,data_act", "regimes_file": tmp_path / "regimes.toml"}
    notice = described(tmp_path / "notice", "made/things")
    made = world(tmp_path, {"made": MadeUpExporter(things(2))}, notice_dir=notice, **settings)
    identifier = made.request(residence=residence)
    made.advance_all()
    (document,) = [json.loads(body) for name, body in members(made.fetch(identifier)) if name == "notice.json"]
    assert [one["law"] for one in document["rights_by_law"]] == laws
    assert ("1798.105" in json.dumps(document["rights"])) is (residence is None)
