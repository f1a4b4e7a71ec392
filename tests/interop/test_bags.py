"""Integrity without our code: coreutils and the Library of Congress."""

from __future__ import annotations

import re
from pathlib import Path

import jwt
import pytest
from judges.programs import module, program, run


@pytest.mark.requirement("R38")
def test_sha256sum_checks_both_manifests(bags: list[Path]) -> None:
    """The whole integrity check on any Unix is one command, and it covers every file except the last two."""
    sha256sum = program("sha256sum", package="coreutils")
    for bag in bags:
        said = run([sha256sum, "--strict", "-c", "manifest-sha256.txt", "tagmanifest-sha256.txt"], cwd=bag)

        assert said.count(": OK\n") == sum(1 for path in bag.rglob("*") if path.is_file()) - 2


def test_the_commands_of_the_page_work_as_they_stand(bags: list[Path]) -> None:
    """README.html's lines for sha256sum work when copied, and give the hash that the signature contains."""
    shell = program("sh", package="dash")
    for bag in bags:
        page = (bag / "README.html").read_text()
        commands = re.findall(r"<pre[^>]*><code>(.*?)</code>", page, flags=re.DOTALL)
        lines = [line for line in "\n".join(commands).splitlines() if line.startswith("sha256sum ")]
        claims = jwt.decode((bag / "signature.jwt").read_text(), options={"verify_signature": False})

        assert len(dict.fromkeys(lines)) == 2
        assert run([shell, "-ec", "\n".join(lines[:2])], cwd=bag).split()[0] == claims["tagmanifest_sha256"]


def test_bagit_validates_every_volume(bags: list[Path]) -> None:
    """RFC 8493 as its own reference program understands it: complete, valid, and as large as Payload-Oxum says."""
    run([*module("bagit"), "--validate", *bags])
