"""A transfer is received by programs of which none is ours, by the very commands that docs/receiving.md shows."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest
import volumes
from fake_sender import AUDIENCE, ISSUER, RECEIPT_KEY, FakeSender, running
from judges import programs
from pyrage import x25519
from repository import ROOT

from portability.api.errors import BadInput
from portability.trust.signing import CHALLENGE_TYPE, NOTICE_TYPE, ROTATION_TYPE, Jwks, check, sign
from receiver.fetch import acknowledgement, challenge
from receiver.fetch.receipt import load_key

PAGE = ROOT / "docs" / "receiving.md"
OURS = x25519.Identity.generate()
NEEDED = {"curl": "curl", "age": "age", "unzip": "unzip", "sha256sum": "coreutils", "bash": "bash"}


def blocks(language: str) -> list[str]:
    """The code blocks of one language that a recipient uses, in order."""
    text = PAGE.read_text().partition("## Challenges and new keys")[2]
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a person who follows the page: the keys, and the files that it shows."""
    programs.library("jwt")
    for name, package in NEEDED.items():
        programs.program(name, package=package)
    (tmp_path / "key.txt").write_text(f"{OURS}\n")
    (tmp_path / "receipt.json").write_text(json.dumps(RECEIPT_KEY.as_dict(private=True)))
    for block in blocks("python"):
        (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block)
    return tmp_path


def test_the_key_of_receipts_is_made(tmp_path: Path) -> None:
    """By the page's own lines: a key that `--receipt-key` takes, and its public half as a key set."""
    programs.library("jwt")
    (block,) = (block for block in blocks("python") if block.startswith("# key.py"))
    programs.run([sys.executable, "-c", block], cwd=tmp_path)

    key = load_key(tmp_path / "receipt.json")
    keys = Jwks.parse(json.loads((tmp_path / "receipt-jwks.json").read_text()))
    assert check(sign({"iat": 1}, key, typ="test"), keys, typ="test") == {"iat": 1}
    assert '"d"' not in (tmp_path / "receipt-jwks.json").read_text()


def follow(folder: Path, sender: FakeSender) -> str:
    """Run all commands in one shell that ends at the first fault."""
    environment = {
        "LINK": sender.url,
        "AUDIENCE": AUDIENCE,
        "ISSUER": ISSUER,
        # The page says python3: here it is the one with PyJWT.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    script = "set -euo pipefail\n" + "\n".join(blocks("sh"))
    return programs.run(["bash", "-c", script], cwd=folder, env=environment)


def signed(folder: Path, arguments: list[str], typ: str, text: bytes = b"") -> dict[str, Any]:
    """The claims of what a script prints, if the signature is valid."""
    environment = {**os.environ, "AUDIENCE": AUDIENCE, "ISSUER": ISSUER}
    done = subprocess.run(
        [sys.executable, *arguments], input=text, cwd=folder, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    keys = Jwks.parse({"keys": [RECEIPT_KEY.as_dict(private=False)]})
    return dict(check(done.stdout.decode(), keys, typ=typ))


def test_the_page_answers_a_challenge(folder: Path) -> None:
    """The script decrypts, and signs the hash of the text; our own receiver says the same."""
    text = f"recipient-challenge-1\n{ISSUER}\n{AUDIENCE}\nrandom\n".encode()
    sealed = base64.b64encode(pyrage.encrypt(text, [OURS.to_public()])).decode()
    body = json.dumps({"type": "recipient.challenge", "data": {"issuer": ISSUER, "sealed": sealed}}).encode()
    claims = signed(folder, ["challenge.py"], CHALLENGE_TYPE, body)
    keys = Jwks.parse({"keys": [RECEIPT_KEY.as_dict(private=False)]})
    own = dict(check(challenge.answer(body, [OURS], RECEIPT_KEY, audience=AUDIENCE), keys, typ=CHALLENGE_TYPE))
    assert own.pop("iat") - claims.pop("iat") < 60
    assert claims == own == {"iss": AUDIENCE, "aud": ISSUER, "proof": hashlib.sha256(text).hexdigest()}


@pytest.mark.parametrize(
    "text", [f"recipient-challenge-1\n{ISSUER}\nthird.example\nx\n", f"other\n{ISSUER}\n{AUDIENCE}\nx\n", "PK"]
)
def test_only_a_challenge_is_decrypted_for_a_sender(folder: Path, text: str) -> None:
    """A text for another recipient, another text, another file: neither the page's script nor our receiver answers."""
    sealed = base64.b64encode(pyrage.encrypt(text.encode(), [OURS.to_public()])).decode()
    body = json.dumps({"data": {"issuer": ISSUER, "sealed": sealed}}).encode()
    with pytest.raises(AssertionError, match="AssertionError"):
        signed(folder, ["challenge.py"], CHALLENGE_TYPE, body)
    with pytest.raises(BadInput):
        challenge.answer(body, [OURS], RECEIPT_KEY, audience=AUDIENCE)


def test_the_page_signs_a_new_key(folder: Path) -> None:
    """The script's claims are those that docs/transfers.md lists."""
    claims = signed(folder, ["rotate.py", "rcp_1", "age1old", "age1new"], ROTATION_TYPE)
    keys = {"recipient": "rcp_1", "replaces": "age1old", "age_key": "age1new"}
    assert claims == {"iss": AUDIENCE, "aud": ISSUER, "iat": claims["iat"], **keys}


def notice(kind: str = "erased", audience: str = AUDIENCE) -> bytes:
    """The body of a notice; its spaces are part of what is signed."""
    data = {"notice": "ntc_1", "transfer": "trf_1", "issuer": ISSUER, "audience": audience}
    return json.dumps({"type": f"transfer.{kind}", "data": data}, indent=1).encode()


@pytest.mark.parametrize("kind", ["withdrawn", "expired", "rectified", "erased"])
def test_the_page_acknowledges_a_notice(folder: Path, kind: str) -> None:
    """The script signs the hash of the body as it came; our own receiver says the same."""
    body = notice(kind)
    claims = signed(folder, ["notice.py"], NOTICE_TYPE, body)
    keys = Jwks.parse({"keys": [RECEIPT_KEY.as_dict(private=False)]})
    own = dict(check(acknowledgement.acknowledge(body, RECEIPT_KEY, audience=AUDIENCE), keys, typ=NOTICE_TYPE))
    assert own.pop("iat") - claims.pop("iat") < 60
    about = {"notice": "ntc_1", "transfer": "trf_1", "kind": kind, "notice_sha256": hashlib.sha256(body).hexdigest()}
    assert claims == own == {"iss": AUDIENCE, "aud": ISSUER, **about}


@pytest.mark.parametrize("body", [notice("offered"), notice(audience="third.example"), b"[]", b"{}"])
def test_only_a_notice_for_us_is_acknowledged(folder: Path, body: bytes) -> None:
    """An offer, a notice for another recipient, another document: neither the script nor our receiver signs."""
    with pytest.raises(AssertionError, match="Error"):
        signed(folder, ["notice.py"], NOTICE_TYPE, body)
    with pytest.raises(BadInput):
        acknowledgement.acknowledge(body, RECEIPT_KEY, audience=AUDIENCE)


def archive_paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "zips").mkdir()
    return volumes.write_archive(tmp_path / "zips", 2, of=volumes.envelope(profile="portability"))


def test_the_page_is_followed_to_the_receipt(folder: Path, tmp_path: Path) -> None:
    """Every file comes out, and the sender has a receipt that it can check."""
    with running(FakeSender(archive_paths(tmp_path), OURS.to_public())) as sender:
        follow(folder, sender)

    assert [(one["status"], one["iss"], one["volumes"]) for one in sender.receipts] == [("received", AUDIENCE, 2)]
    for number in (1, 2):
        bag = folder / volumes.envelope(profile="portability").volume_name(number)
        assert (bag / "data/calls/recordings/c1.wav").read_bytes() == volumes.SOUND


@pytest.mark.parametrize("fault", ["audience", "issuer", "typ", "byte", "key"])
def test_the_page_finds_what_is_wrong(folder: Path, tmp_path: Path, fault: str) -> None:
    """It stops before anything is unpacked."""
    zips = archive_paths(tmp_path)
    claims = {"audience": {"aud": "third.example"}, "issuer": {"iss": "https://else.example"}}.get(fault, {})
    identity = x25519.Identity.generate() if fault == "key" else OURS
    sender = FakeSender(zips, identity.to_public(), claims)
    if fault == "typ":
        sender.statement = lambda token: token.replace(token.partition(".")[0], "eyJhbGciOiJub25lIn0")
    if fault == "byte":
        sender.tamper = lambda answer: setattr(answer, "body", bytes(answer.body[:-1]) + b"?")
    with running(sender), pytest.raises(pytest.fail.Exception):
        follow(folder, sender)

    assert sender.receipts == []
    assert not list(folder.glob("export-*/"))
