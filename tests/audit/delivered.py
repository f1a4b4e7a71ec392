"""Reads an archive as a stranger does: zipfile, json and csv, and the page that describes the format."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TABLE = re.compile(r"data/(\w+)/(\w+)(?:-(?:s\d+-|r\d+-\d+-)?\d{4})?\.(jsonl|csv)")
CORRECTION = re.compile(r"data/(\w+)/(\w+)-r\d+-\d+-correction\.(jsonl|csv)")
VCON = re.compile(r"data/(\w+)/vcon/(.+)\.vcon\.json")
Record = Mapping[str, Any]


@dataclass(slots=True)
class DeliveredArchive:
    """What is in an archive: records by dataset, ids of the same tables as CSV, files, and export.json."""

    document: Record = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    corrections: dict[str, dict[str, Record]] = field(default_factory=lambda: defaultdict(dict))
    """By dataset and id: records of a later revision, which replace the earlier records."""
    csv_ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    vcons: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every other payload file, by its path."""
    content: bytes = field(default=b"", repr=False)
    """The names and bytes of all files."""

    def add(self, name: str, body: bytes) -> None:
        """Take one file of a volume; `name` is its path below the volume's folder."""
        if name == "export.json":
            document = json.loads(body)
            if document["revision"] > self.document.get("revision", 0):
                self.document = document
        elif table := TABLE.fullmatch(name):
            dataset = f"{table[1]}/{table[2]}"
            if table[3] == "jsonl":
                self.records[dataset] += _records_of(body)
            else:
                self.csv_ids[dataset] += [line["id"] for line in csv.DictReader(io.StringIO(body.decode(), newline=""))]
        elif table := CORRECTION.fullmatch(name):
            if table[3] == "jsonl":
                self.corrections[f"{table[1]}/{table[2]}"] |= {record["id"]: record for record in _records_of(body)}
        elif document := VCON.fullmatch(name):
            self.vcons[document[1]].append(document[2])
        elif name.startswith("data/"):
            self.files[name] = hashlib.sha256(body).hexdigest()

    def of(self, identifier: str) -> Sequence[Record]:
        """Return all records with this id, of any dataset, as corrected."""
        found = [(name, record) for name, records in self.records.items() for record in records]
        return [self.corrections[name].get(identifier, record) for name, record in found if record["id"] == identifier]

    def ids(self, dataset: str) -> list[str]:
        return [record["id"] for record in self.records.get(dataset, ())]

    @property
    def lines(self) -> Mapping[str, Record]:
        """The ledger: a line for each dataset."""
        return {f"{line['exporter']}/{line['dataset']}": line for line in self.document["datasets"]}

    @property
    def counted(self) -> Mapping[str, int]:
        """The records of each dataset by the ledger: what companies have not ordered has a line of its own."""
        found: dict[str, int] = defaultdict(int)
        for line in self.document["datasets"]:
            found[f"{line['exporter']}/{line['dataset']}"] += line["records"]
        return found

    @property
    def gaps(self) -> Sequence[tuple[str, str, str]]:
        """Dataset, what is missing, and the reason."""
        return [(f"{gap['exporter']}/{gap['dataset']}", gap["what"], gap["reason"]) for gap in self.document["gaps"]]

    @property
    def withheld(self) -> set[str]:
        return {f"{each['exporter']}/{each['dataset']}.{each['name']}" for each in self.document["withheld"]}


def read(paths: Iterable[Path]) -> DeliveredArchive:
    """Read all volumes of an archive. The newest closing volume's document counts."""
    found = DeliveredArchive()
    parts: list[bytes] = []
    for path in sorted(paths):
        with zipfile.ZipFile(path) as volume:
            for name in volume.namelist():
                body = volume.read(name)
                parts += [name.encode(), body]
                found.add(name.split("/", 1)[1], body)
    found.content = b"\n".join(parts)
    return found


def _records_of(body: bytes) -> list[Record]:
    return [json.loads(line) for line in body.decode().split("\n") if line]
