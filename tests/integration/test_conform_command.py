"""`portability conform` as a command: its report, its exit codes, and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import node_receiver
import pyrage
import pytest
from click.testing import CliRunner
from conforming import SECRET, kit_address

from cli.main import main
from receiver.conformance.signers import KitKey


def conform_json(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(main, ["conform", "--json", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(f"{SECRET}\n")
    return path


def test_the_report_names_broken_rules(tmp_path: Path, secret: Path) -> None:
    """JSON for programs, JUnit for continuous integration, a table for people: each with the section of the rule."""
    url, port = kit_address()
    planted = {"receiver.mjs": ('begin !== "recipient-challenge-1" || ', "")}
    with node_receiver.receiving(tmp_path, url, SECRET, planted) as receiver:
        asked = ("--recipient", receiver.webhook, "--secret", secret, "--listen", f"127.0.0.1:{port}")
        report = conform_json(*asked, "--only", "challenge*", "--junit", tmp_path / "junit.xml", code=1)
        text = CliRunner().invoke(main, ["conform", *map(str, asked), "--only", "challenge*"])

    (broken,) = [one for one in report["checks"] if not one["ok"]]
    assert (report["role"], report["rules"], report["failed"], report["ok"]) == ("recipient", 6, 1, False)
    assert broken == {
        "name": "challenge-with-another-text",
        "rule": "no other text is decrypted for a sender",
        "section": "docs/transfers.md#proof",
        "expected": "no proof",
        "seen": "the proof",
        "ok": False,
    }
    junit = (tmp_path / "junit.xml").read_text()
    assert 'tests="6" failures="1"' in junit
    assert "docs/transfers.md#proof" in junit
    assert text.exit_code == 1
    assert "6 rules, 1 broken" in text.stdout


def test_a_missing_secret_is_made_once(tmp_path: Path) -> None:
    """Only its owner can read it, and the error says what to do with it; the next run uses it."""
    path = tmp_path / "secret.txt"
    asked = ("--recipient", "http://127.0.0.1:1/hook", "--secret", path)
    error = conform_json(*asked, code=2)["error"]

    assert error["code"] == "bad_input"
    assert path.stat().st_mode & 0o777 == 0o600
    made = path.read_text()
    assert made.startswith("whsec_")
    assert made.strip() not in json.dumps(error)
    assert conform_json(*asked, code=1)["error"]["code"] == "outside_unavailable"
    assert path.read_text() == made


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--recipient", "https://a.example/hook", "--sender", "https://a.example/d/x"),
        ("--recipient", "https://a.example/hook"),
        ("--sender", "https://a.example/d/x"),
        ("--sender", "https://a.example/d/x", "--identity", "absent", "--audience", "a", "--receipt-key", "absent"),
    ],
    ids=["nothing", "both", "no secret", "no keys", "no such files"],
)
def test_wrong_arguments_are_one_error(arguments: tuple[str, ...]) -> None:
    """What is missing is named, and nothing is requested."""
    assert conform_json(*arguments, code=2)["error"]["code"] == "bad_input"


def test_a_sender_that_does_not_answer_breaks_a_rule(tmp_path: Path) -> None:
    """There is a report nevertheless, and the link is not in it."""
    (tmp_path / "key.txt").write_text(f"{pyrage.x25519.Identity.generate()}\n")
    (tmp_path / "receipt.json").write_text(json.dumps(KitKey("a recipient", "r-1").private_jwk()))
    keys = ("--identity", tmp_path / "key.txt", "--receipt-key", tmp_path / "receipt.json", "--audience", "a.example")
    _url, port = kit_address()
    report = conform_json("--sender", f"http://127.0.0.1:{port}/d/secret-token", *keys, code=1)

    assert [one["seen"] for one in report["checks"]] == ["no answer: ConnectError"]
    assert "secret-token" not in json.dumps(report)
