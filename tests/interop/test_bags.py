"""Integrity without our code: coreutils and the Library of Congress."""

from __future__ import annotations

from pathlib import Path

from judges.programs import module, program, run


def test_sha256sum_checks_both_manifests(bags: list[Path]) -> None:
    """The whole integrity check on any Unix is one command, and it covers every file but the last two."""
    sha256sum = program("sha256sum", package="coreutils")
    for bag in bags:
        said = run([sha256sum, "--strict", "-c", "manifest-sha256.txt", "tagmanifest-sha256.txt"], cwd=bag)

        assert said.count(": OK\n") == sum(1 for path in bag.rglob("*") if path.is_file()) - 2


def test_bagit_validates_every_volume(bags: list[Path]) -> None:
    """RFC 8493 as its own reference program understands it: complete, valid, and as large as Payload-Oxum says."""
    run([*module("bagit"), "--validate", *bags])
