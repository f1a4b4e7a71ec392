"""The content of an archive, without what differs between exports: compared with an undisturbed export."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from archives import members

_PIECE = re.compile(r"data/(?P<dataset>[a-z_]+/[a-z_]+)(?:-(?:s\d+-|r\d+-\d+-)?\d{4})?\.(?P<format>jsonl|csv)")

Contents = Counter[tuple[str, str]]
"""How often each thing is there: (dataset, record) or (folder, SHA-256 of a file)."""
OWN_RECORDS = "data/portability/"
"""Records of the requests themselves: each export has others."""


def of(paths: Sequence[Path]) -> Contents:
    """Records in every format of rows, and files, of an archive's volumes."""
    found: Contents = Counter()
    for name, body in members(paths):
        if name.startswith(OWN_RECORDS):
            continue
        if (piece := _PIECE.fullmatch(name)) is None:
            if name.startswith("data/") and name.count("/") > 2:
                found[name.rsplit("/", 1)[0], hashlib.sha256(body).hexdigest()] += 1
        elif piece["format"] == "jsonl":
            records = [json.loads(line) for line in body.decode().split("\n") if line]
            found.update((piece["dataset"], json.dumps(record, sort_keys=True)) for record in records)
        else:
            # Rows with line breaks in them are whole only as the multiset of all lines of a dataset.
            found.update((f"{piece['dataset']} csv", line) for line in body.decode().split("\n")[1:])
    return found


def differences(seen: Contents, wanted: Contents) -> tuple[int, int]:
    """(how many are missing, how many are there too often)."""
    return (wanted - seen).total(), (seen - wanted).total()
