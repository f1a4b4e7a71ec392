"""`portability import` while the disk of temporary files is full."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chaos.disk import needed_disk
from handmade import CREATED, table, unpacked_archive
from workers import command

RECORDS = 16_000
"""The ids of this many corrected records need more than two megabytes, so SQLite writes them to the disk."""


@pytest.fixture
def temporary_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    with needed_disk(tmp_path / "temporary", 1 << 20) as disk:
        yield disk.folder


def corrected(folder: Path) -> Path:
    """An archive whose second revision corrects each record of the first; returns its folder."""
    record = {"tenant_id": "ten_a", "direction": "inbound", "created_at": CREATED}
    name, body, made = table("calls", *({"id": f"call-{number:0150}", **record} for number in range(RECORDS)))
    # Loading by SQL, for which the made-up dataset would need fields, is left out with its key.
    corrects = replace(made, corrects=True, dataset=replace(made.dataset, key=()))
    unpacked_archive(folder, [(name, body, made)], [("calls/corrected.jsonl", body, corrects)], revisions=[1, 2])
    return folder / "in"


def test_an_import_without_room_for_temporary_files_says_so_and_continues(tmp_path: Path, temporary_disk: Path) -> None:
    """The error is about the temporary files and not about the target; with room, the same command imports the rest."""
    arguments = (
        str(corrected(tmp_path)),
        "--into",
        f"sqlite:///{tmp_path}/target.db",
        "--as-tenant",
        "ten_a",
        "--json",
    )
    # With an interpreter of its own: SQLite looks for the folder once in a process.
    environment = {**os.environ, "SQLITE_TMPDIR": str(temporary_disk), "PORTABILITY_DIR": str(tmp_path)}

    def imported() -> tuple[int, Any]:
        run = subprocess.run(command("import", *arguments), env=environment, capture_output=True, check=False)
        return run.returncode, json.loads(run.stdout or run.stderr)

    status, answer = imported()
    assert (status, answer["error"]["code"]) == (1, "no_room")
    assert answer["error"]["message"] == "cannot write the temporary database of the import: SQLITE_FULL"

    subprocess.run(["mount", "-o", "remount,size=64m", temporary_disk], check=True)
    status, answer = imported()
    (calls,) = answer["datasets"]
    assert (status, calls["new"] + calls["same"]) == (0, RECORDS)
    assert calls["new"] > 0
