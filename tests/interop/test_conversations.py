"""The conversations by the reference library of the vCon working group, which demands more than its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from judges.cases import Archive
from judges.programs import run, vcon_library


@pytest.mark.requirement("R32")
def test_the_library_of_the_working_group_accepts_each_conversation(
    archives: Mapping[str, Archive], tmp_path: Path
) -> None:
    """Calls and chats of all archives, with hostile text too. A document with another form it refuses."""
    judge = vcon_library()
    for archive in archives.values():
        archive.unpacked(tmp_path)
    documents = sorted(tmp_path.rglob("*.vcon.json"))
    chat = next(json.loads(path.read_text()) for path in documents if path.parts[-3] == "chats")
    chat["dialog"][0]["parties"] = 0
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(chat))

    faults = json.loads(run([*judge, *documents, broken]))

    assert len(documents) > 20
    assert faults.pop(str(broken)) != []
    assert [fault for those in faults.values() for fault in those] == []
