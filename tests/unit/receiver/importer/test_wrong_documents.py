"""Documents of an unpacked archive that are JSON, agree with the manifest, and have members of other types."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as

from receiver.binding.target import ImportTarget
from receiver.importer.faults import BadArchive


def changed(folder: Path, name: str, **members: object) -> None:
    """Give a document other members, and its line in the tag manifest the new hash."""
    path, manifest = folder / name, folder / "tagmanifest-sha256.txt"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    document: dict[str, Any] = {**json.loads(path.read_bytes()), **members}
    path.write_text(json.dumps(document))
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    assert before in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("export.json", {"profile": ["switch"]}),
        ("export.json", {"subject_kind": {}}),
        ("export.json", {"revision": "1"}),
        ("export.json", {"volumes": 5}),
        ("export.json", {"volumes": [5]}),
        ("export.json", {"volumes": [None]}),
        ("export.json", {"volumes": [{"number": []}]}),
        ("datapackage.json", {"resources": None}),
        ("datapackage.json", {"resources": 5}),
    ],
)
def test_a_member_of_another_type_is_a_bad_archive(tmp_path: Path, name: str, members: dict[str, object]) -> None:
    """A stranger's folder is refused with one clear error, whatever its documents hold; nothing is imported."""
    record = {"id": "c1", "tenant_id": "ten_a", "direction": "inbound", "created_at": CREATED}
    (folder,) = unpacked_archive(tmp_path, [table("calls", record)])
    changed(folder, name, **members)

    with pytest.raises(BadArchive, match=name):
        import_as([folder], f"sqlite:///{tmp_path}/target.db", ImportTarget(tenant="ten_a"))
