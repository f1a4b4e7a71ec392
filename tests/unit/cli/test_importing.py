from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "portability-1"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}
SWITCH = [str(GOLDEN / name) for name in CASES["switch of a tenant in two volumes"]["volumes"]]
ACCESS = [str(GOLDEN / name) for name in CASES["account of a user"]["volumes"]]
JWKS = ["--jwks", str(GOLDEN / "jwks.json")]


def run_import(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])


def imported_json(*arguments: str, code: int = 0) -> Any:
    result = run_import("--json", *arguments)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_zips_are_verified_and_imported(tmp_path: Path) -> None:
    """One command imports the volumes as received; a repeated run changes nothing."""
    into = ["--into", f"sqlite:///{tmp_path}/target.db", "--files", f"file://{tmp_path}/files"]

    first, second = imported_json(*SWITCH, *JWKS, *into), imported_json(*SWITCH, *JWKS, *into)

    new = {one["table"]: one["new"] for one in first["datasets"]}
    assert new["messages"] > 0
    assert {one["table"]: one["same"] for one in second["datasets"]} == new
    assert (first["refused"], first["profile"], first["complete"]) == (0, "switch", True)
    assert set(first) == {"export", "profile", "complete", "gaps", "dry_run", "refused", "datasets", "left"}


def test_people_get_a_table(tmp_path: Path) -> None:
    """And report what was not changed."""
    result = run_import(*SWITCH, *JWKS, "--into", f"sqlite:///{tmp_path}/target.db", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "chats/messages" in result.stdout
    assert "nothing was changed" in result.stdout
    assert not (tmp_path / "target.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([*ACCESS, *JWKS], "not_importable"),
        ([SWITCH[0], *JWKS], "archive_refused"),
        ([str(GOLDEN / "changed.zip"), *JWKS], "archive_refused"),
        ([str(GOLDEN.parent)], "bad_input"),
    ],
)
def test_what_cannot_be_imported_is_one_error(tmp_path: Path, arguments: list[str], code: str) -> None:
    """A copy to read, a part, a changed volume, a folder without any: the database is not even made."""
    into = ["--into", f"sqlite:///{tmp_path}/target.db"]

    assert imported_json(*arguments, *into, code=1 if code == "archive_refused" else 2)["error"]["code"] == code
    assert not (tmp_path / "target.db").exists()
