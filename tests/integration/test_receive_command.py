from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import volumes
from click.testing import CliRunner
from fake_sender import AUDIENCE, ISSUER, RECEIPT_KEY, TRANSFER, FakeSender, running
from pyrage import x25519

from cli.main import main

OURS = x25519.Identity.generate()


def received_json(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(main, ["receive", "--json", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    """An identity of age and a key for receipts, as their programs write them."""
    (tmp_path / "key.txt").write_text(f"# created: today\n# public key: {OURS.to_public()}\n{OURS}\n")
    (tmp_path / "receipt.json").write_text(json.dumps(RECEIPT_KEY.as_dict(private=True)))
    return ["--identity", str(tmp_path / "key.txt"), "--receipt-key", str(tmp_path / "receipt.json")]


def test_a_link_becomes_a_folder_and_a_database(tmp_path: Path, keys: list[str]) -> None:
    """`receive`, then `import` of the same folder."""
    zips = volumes.write_archive(tmp_path, 2, of=volumes.envelope(profile="switch"))
    target = tmp_path / "in"
    with running(FakeSender(zips, OURS.to_public(), {"profile": "switch"})) as sender:
        report = received_json(sender.url, "--to", target, *keys, "--audience", AUDIENCE, "--issuer", ISSUER)

    assert (report["transfer"], report["issuer"], report["receipted"]) == (TRANSFER, ISSUER, True)
    assert report["archive"] == str(target / "archive")
    assert [one["status"] for one in sender.receipts] == ["received"]
    into = ["--into", f"sqlite:///{tmp_path}/target.db", "--as-tenant", "ten_1", "--dir", str(tmp_path / "state")]
    result = CliRunner().invoke(main, ["import", "--json", str(target), *into])
    (calls,) = json.loads(result.stdout)["datasets"]
    # The made-up calls of this archive do not fit the reference schema, and the report says so.
    assert (result.exit_code, calls["table"], calls["reasons"]) == (1, "calls", {"missing_value": 4})


def test_people_are_informed_what_comes_next(tmp_path: Path, keys: list[str]) -> None:
    """Where it lies, for whom it was, and what to do with it."""
    zips = volumes.write_archive(tmp_path, of=volumes.envelope(profile="portability"))
    with running(FakeSender(zips, OURS.to_public())) as sender:
        arguments = [sender.url, "--to", str(tmp_path / "in"), *keys[:2], "--issuer", ISSUER]
        result = CliRunner().invoke(main, ["receive", *arguments])

    assert result.exit_code == 0, result.output
    assert "no receipt was sent" in result.stdout
    assert "portability import" in result.stdout


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_input"),
        ("AGE-SECRET-KEY-1XX\n", "bad_input"),
        (f"{OURS}\nsomething else\n", "bad_input"),
        (f"{x25519.Identity.generate()}\n", "wrong_key"),
    ],
    ids=["nothing", "no key", "more than keys", "another key"],
)
def test_other_identities_are_one_error(tmp_path: Path, keys: list[str], text: str, code: str) -> None:
    """Never a word of the key in it."""
    (tmp_path / "key.txt").write_text(text)
    zips = volumes.write_archive(tmp_path, of=volumes.envelope(profile="portability"))
    with running(FakeSender(zips, OURS.to_public())) as sender:
        report = received_json(
            sender.url, "--to", tmp_path / "in", *keys, "--issuer", ISSUER, code=2 if code == "bad_input" else 1
        )

    assert report["error"]["code"] == code
    assert not text.strip() or text.split(maxsplit=1)[0] not in json.dumps(report)


@pytest.mark.parametrize("document", [{}, [], {"kty": "EC"}, volumes.new_key("x").as_dict(private=False)])
def test_other_receipt_keys_are_bad_input(tmp_path: Path, keys: list[str], document: Any) -> None:
    """A private key of P-256 with its kid, and nothing else."""
    (tmp_path / "receipt.json").write_text(json.dumps(document))

    assert (
        received_json("https://vlint.example/d/x", "--to", tmp_path / "in", *keys, code=2)["error"]["code"]
        == "bad_input"
    )
