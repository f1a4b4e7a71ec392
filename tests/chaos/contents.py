"""The content of an archive, without what differs between exports: compared with an undisturbed export."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from archives import members

_PIECE = re.compile(r"data/(?P<dataset>[a-z_]+/[a-z_]+)(?:-(?:s\d+-|r\d+-\d+-)?\d{4})?\.(?P<format>jsonl|csv)")

Contents = Counter[tuple[str, str]]
"""How often each thing is there: (dataset, record) or (folder, name and SHA-256 of a file)."""
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
                folder, _, file = name.rpartition("/")
                found[folder, f"{file} {hashlib.sha256(body).hexdigest()}"] += 1
        elif piece["format"] == "jsonl":
            records = [json.loads(line) for line in body.decode().split("\n") if line]
            found.update((piece["dataset"], json.dumps(record, sort_keys=True)) for record in records)
        else:
            # Rows with line breaks in them are whole only as the multiset of all lines of a dataset.
            found.update((f"{piece['dataset']} csv", line) for line in body.decode().split("\n")[1:])
    return found


def record_ids(seen: Contents) -> Counter[tuple[str, str]]:
    """How often each record is there that has an id: (dataset, id)."""
    found: Counter[tuple[str, str]] = Counter()
    for (dataset, thing), number in seen.items():
        if not dataset.startswith("data/") and not dataset.endswith(" csv") and "id" in (record := json.loads(thing)):
            found[dataset, record["id"]] += number
    return found


def differences(seen: Contents, wanted: Contents, varying: Collection[str] = ()) -> tuple[int, int]:
    """(how many are missing, how many are there too often).

    What names one of the ids `varying` may be there once or not: chaos.source counts the records by id.
    """

    def fixed(things: Contents) -> Contents:
        return Counter({one: number for one, number in things.items() if not _names(one[1], varying)})

    twice = sum(number > max(1, wanted[one]) for one, number in seen.items() if _names(one[1], varying))
    seen, wanted = fixed(seen), fixed(wanted)
    return (wanted - seen).total(), (seen - wanted).total() + twice


def _names(thing: str, varying: Collection[str]) -> bool:
    return any(identifier in thing for identifier in varying)
