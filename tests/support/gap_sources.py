"""A source that lacks values, files and batches until it is repaired, and a judge that knows nothing of the product."""

from __future__ import annotations

import base64
import json
import random
import re
import zipfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from factories import KINDS, World, dataset, file

from portability.api import Batch, Cursor, Dataset, Field, FieldType, Gap, Provenance, Role, Selection, Subject
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.database.engine import writing
from portability.requests import retries

FILE = Field("file", FieldType.STRING, "Name of its file.", Provenance.PROVIDED)
THINGS = dataset("things", Role.CONTROLLER, FILE)
_PIECE = re.compile(r"data/made/things(-.*)?\.jsonl")
_PART = re.compile(r"\.part-\d{4}$")


@dataclass
class LackingSource:
    """Records with a text and a file each; what is in one of the sets is not given, and reported as a gap."""

    truth: Sequence[dict[str, Any]]
    """Records as they should be."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Files by name."""
    no_text: set[str] = field(default_factory=set)
    """Ids of records whose text JSON cannot represent."""
    no_file: set[str] = field(default_factory=set)
    """Names of files that are missing in the store."""
    broken: set[str] = field(default_factory=set)
    """Names of files that end early."""
    dies_at: int | None = None
    """Number of the record at which the source refuses."""
    batch_records: int = 3
    names_records: bool = True
    """Whether its gaps name their record and field."""
    datasets: Sequence[Dataset] = (THINGS,)
    subject_kinds: frozenset[Any] = KINDS

    def export(
        self, _subject: Subject, _dataset: Dataset, _selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield the batches after a cursor: the number of records before it."""
        for start in range(int(after or 0), len(self.truth), self.batch_records):
            if self.dies_at is not None and start >= self.dies_at:
                raise SourceRefused("the source refuses")
            records = self.truth[start : start + self.batch_records]
            given = [self._given(record) for record in records]
            names = [record["file"] for record in given if record["file"]]
            files = tuple(file(name, self.contents[name], opens=partial(self._open, name)) for name in names)
            yield Batch(given, str(start + len(records)), files, tuple(g for r in records for g in self._gaps(r)))

    def repair(self) -> None:
        """Give everything from now on."""
        self.no_text, self.no_file, self.broken, self.dies_at = set(), set(), set(), None

    def _given(self, record: dict[str, Any]) -> dict[str, Any]:
        is_there = record["file"] not in self.no_file
        text = None if record["id"] in self.no_text else record["text"]
        return {**record, "text": text, "file": record["file"] if is_there else None}

    def _gaps(self, record: dict[str, Any]) -> Iterator[Gap]:
        identifier = record["id"]
        if identifier in self.no_text:
            yield self._gap(f"things/{identifier}/text", "not_json", identifier, "text")
        if record["file"] in self.no_file:
            yield self._gap(f"things/{identifier}", "missing", identifier, "file")

    def _gap(self, what: str, reason: str, identifier: str, name: str) -> Gap:
        return Gap(what, reason, key=(identifier,), fields=(name,)) if self.names_records else Gap(what, reason)

    def _open(self, name: str, offset: int) -> Iterator[bytes]:
        content = self.contents[name]
        if name in self.broken:
            yield content[offset : len(content) // 2]
            raise SourceUnavailable("the store does not answer")
        yield content[offset:]


def retry_gaps(made: World, identifier: str) -> int:
    """Retry what is missing, let workers finish, and verify the archive; returns the number of gaps that were read."""
    with writing(made.engine) as connection:
        count = retries.retry_gaps(connection, identifier, actor="operator:test")
    made.advance_all()
    assert made.verify(made.fetch(identifier)).errors == ()
    return count


def source_of(count: int, file_bytes: int = 40, **lacking: Any) -> LackingSource:
    """Make a source of records with a file each."""
    truth = [{"id": f"thing_{n}", "text": f"text {n}", "file": f"{n}.wav"} for n in range(count)]
    contents = {f"{n}.wav": random.Random(n).randbytes(file_bytes) for n in range(count)}
    return LackingSource(truth, contents, **lacking)


def delivered_records(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the records in the archive by id: a record in a later revision replaces earlier records."""
    found: dict[str, dict[str, Any]] = {}
    for _revision, name, body in sorted(_members(paths)):
        if _PIECE.fullmatch(name):
            found |= {record["id"]: record for record in map(json.loads, body.decode().splitlines())}
    return found


def delivered_files(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return the files in the archive by name: of the newest revision that has it."""
    newest: dict[str, tuple[int, list[bytes]]] = {}
    for revision, path, body in sorted(_members(paths)):
        if not path.startswith("data/made/things/"):
            continue
        name = _PART.sub("", path.rpartition("/")[2])
        if name not in newest or newest[name][0] < revision:
            newest[name] = (revision, [])
        newest[name][1].append(body)
    return {name: b"".join(parts) for name, (_revision, parts) in newest.items()}


def lacks_nothing(paths: Sequence[Path], source: LackingSource) -> bool:
    """Return whether every value and file of the source is in the archive."""
    truth = {record["id"]: record for record in source.truth}
    return delivered_records(paths) == truth and delivered_files(paths) == source.contents


def _members(paths: Sequence[Path]) -> Iterator[tuple[int, str, bytes]]:
    """Yield (revision, path, content) of each payload file."""
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            names = {name.split("/", 1)[1]: name for name in archive.namelist()}
            token = archive.read(names["signature.jwt"]).decode().split(".")[1]
            revision = json.loads(_unpadded(token))["revision"]
            for name, full in names.items():
                if name.startswith("data/"):
                    yield revision, name, archive.read(full)


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
