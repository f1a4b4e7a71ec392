"""All programs that open a volume show the same files: names, sizes and hashes of all members."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from judges.cases import Archive
from judges.readers import READERS, python_zipfile


def test_the_manifests_name_what_python_finds(archive: Archive, tmp_path: Path) -> None:
    """Every member but tag manifest and signature stands in a manifest with its hash, and nothing else does."""
    bags = archive.unpacked(tmp_path)
    for bag, found in zip(bags, python_zipfile(archive.volumes), strict=True):
        manifests = [(bag / f"{kind}-sha256.txt").read_text() for kind in ("manifest", "tagmanifest")]
        listed = {line[66:]: line[:64] for manifest in manifests for line in manifest.splitlines()}
        hashes = {entry.name.removeprefix(f"{bag.name}/"): entry.sha256 for entry in found}

        assert hashes.pop("tagmanifest-sha256.txt")
        assert hashes.pop("signature.jwt")
        assert hashes == listed


@pytest.mark.requirement("R36")
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_finds_the_same_members(archives: Mapping[str, Archive], reader: str) -> None:
    """A reader that saw more, fewer, longer or other files than the rest would show another archive."""
    volumes = {volume: name for name, archive in archives.items() for volume in archive.volumes}
    expected = dict(zip(volumes, python_zipfile([*volumes]), strict=True))

    found = dict(zip(volumes, READERS[reader]([*volumes]), strict=True))

    assert [volumes[volume] for volume in volumes if found[volume] != expected[volume]] == []
