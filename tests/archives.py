"""Reading what we wrote, with the standard library alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def members(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """(path below the volume's folder, content) of every member of every volume, in order."""
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.split("/", 1)[1], archive.read(name)


def records(paths: Sequence[Path], exporter: str, dataset: str) -> list[dict[str, Any]]:
    """All records of a dataset, from its JSON Lines pieces in the order of the volumes."""
    found: list[dict[str, Any]] = []
    for name, body in members(paths):
        if (
            name.endswith(".jsonl")
            and name.removeprefix(f"data/{exporter}/{dataset}").split(".")[0].lstrip("-0123456789") == ""
        ):
            found.extend(json.loads(line) for line in body.decode().split("\n") if line)
    return found


def export_json(paths: Sequence[Path]) -> dict[str, Any]:
    """The document of the closing volume."""
    (document,) = [json.loads(body) for name, body in members(paths) if name == "export.json"]
    return dict(document)
