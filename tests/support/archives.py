"""Reading what we wrote, with the standard library alone."""

from __future__ import annotations

import json
import re
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
    piece = re.compile(rf"data/{exporter}/{dataset}(-(s\d+-|r\d+-\d+-)?\d{{4}})?\.jsonl")
    found: list[dict[str, Any]] = []
    for name, body in members(paths):
        if piece.fullmatch(name):
            found.extend(json.loads(line) for line in body.decode().split("\n") if line)
    return found


def export_json(paths: Sequence[Path]) -> dict[str, Any]:
    """The document of the closing volume: of the newest revision."""
    documents: list[dict[str, Any]] = [json.loads(body) for name, body in members(paths) if name == "export.json"]
    newest = max(documents, key=lambda document: int(document["revision"]))
    assert [document["revision"] for document in documents].count(newest["revision"]) == 1
    return newest
