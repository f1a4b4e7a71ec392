"""Excerpts: the first records of each dataset are kept for the viewer of the closing volume.

They grow from volume to volume. Each volume's excerpts are stored beside it and count once the volume is committed, so
that a crash neither loses nor doubles anything.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import RowMapping

from archive.parts import Member
from archive.viewer.parts import Cut, Excerpt, Shown
from portability.api import JSON, Dataset, FieldType, Format, Record, WriterFormat, encoded
from portability.api.errors import FormatError, ObjectMissing, StorageError
from portability.api.storages import Storage
from portability.errors import VolumeFault
from portability.plugins import load_formats
from worker.plan.plan import PlanLine
from worker.write.uploads import aborted_on_error

RECORDS_MAX = 2_000
"""Limit of records of one dataset."""
BYTES_MAX = 2 << 20
"""Limit of bytes of one dataset, as JSON lines."""
TOTAL_BYTES_MAX = 48 << 20
VALUE_CHARS_MAX = 20_000
MEMBERS_MAX = 2_000
"""Limit of files of one dataset that are linked."""
VERSION = 1
JSON_LINES = "jsonl"
"""The format in which the viewer reads records, independent of the export's formats."""
_STEP_RECORDS = 20


@dataclass(slots=True)
class _Kept:
    """The excerpt of one dataset."""

    lines: list[bytes] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    members: list[Shown] = field(default_factory=list)
    more_members: int = 0
    bytes: int = 0
    full: bool = False


class Excerpts:
    """The excerpts of an export so far."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._bytes = 0

    def take(self, exporter: str, dataset: Dataset, records: Iterable[Record]) -> None:
        """Keep as many of the records as fit, in order; they were written to the open volume."""
        kept = self._of(exporter, dataset.name)
        arriving = iter(records)
        while not kept.full and (step := list(islice(arriving, _STEP_RECORDS))):
            self._keep(kept, dataset, step)

    def correct(self, exporter: str, dataset: Dataset, records: Iterable[Record]) -> None:
        """Replace earlier records with the same keys, as far as they are kept; keep new records as far as they fit."""
        kept = self._of(exporter, dataset.name)
        if dataset.documents:
            return
        places = {_key(orjson.loads(line), dataset): row for row, line in enumerate(kept.lines)}
        for record in records:
            if (row := places.get(_key(record, dataset))) is not None:
                self._replace(kept, dataset, row, record)
            elif not kept.full:
                self._keep(kept, dataset, [record])

    def note(self, volume: str, members: Iterable[Member]) -> None:
        """Record the locations of a volume's files: pieces of records, recordings and attachments."""
        for member in members:
            content = member.content
            if content.form is not None:
                continue  # the viewer shows records, not copies of them
            kept = self._of(content.exporter, content.dataset.name)
            if content.corrects and content.dataset.documents:
                # A document is delivered again under its path: the viewer links the newest.
                kept.members = [earlier for earlier in kept.members if earlier.path != member.path]
            if len(kept.members) == MEMBERS_MAX:
                kept.more_members += 1
                continue
            facts = (content.media_type, content.records, content.file, content.state)
            kept.members.append(Shown(member.path, volume, member.bytes, *facts))

    def shown(self, lines: Iterable[PlanLine]) -> Iterator[Excerpt]:
        """Yield one excerpt for each dataset of a plan, in its order; empty if nothing was read."""
        datasets = {(line.exporter, line.dataset.name): line.dataset for line in lines}
        for name, dataset in datasets.items():
            kept = self._kept.get(name, _Kept())
            yield Excerpt(name[0], dataset, kept.lines, kept.cuts, kept.members, kept.more_members)

    def absorb(self, other: Excerpts) -> None:
        """Append what another slice kept, as far as there is room."""
        for (exporter, dataset), added in other._kept.items():
            kept = self._of(exporter, dataset)
            row = len(kept.lines)
            if not kept.full:
                self._keep_lines(kept, added.lines)
            kept.full = kept.full or added.full
            kept.cuts += [replace(c, row=row + c.row) for c in added.cuts if row + c.row < len(kept.lines)]
            room = MEMBERS_MAX - len(kept.members)
            kept.members += added.members[:room]
            kept.more_members += added.more_members + len(added.members[room:])

    def to_json(self) -> bytes:
        """Return everything as compressed JSON."""
        datasets = [
            {
                "name": name,
                "lines": [line.decode() for line in kept.lines],
                "cuts": [astuple(cut) for cut in kept.cuts],
                "members": [astuple(member) for member in kept.members],
                "more_members": kept.more_members,
                "full": kept.full,
            }
            for name, kept in self._kept.items()
        ]
        return zlib.compress(orjson.dumps({"version": VERSION, "datasets": datasets}), level=1)

    @classmethod
    def from_json(cls, frozen: bytes) -> Excerpts:
        """Make excerpts from the result of `to_json`. Raises VolumeFault for anything else."""
        excerpts = cls()
        try:
            document = orjson.loads(zlib.decompress(frozen))
            if document["version"] != VERSION:
                raise VolumeFault(f"the excerpts in storage have version {document['version']}; expected {VERSION}")
            for dataset in document["datasets"]:
                excerpts._add_json(dataset)
        except (zlib.error, ValueError, TypeError, KeyError):
            raise VolumeFault(f"the excerpts in storage, {len(frozen)} bytes, are damaged") from None
        return excerpts

    def _of(self, exporter: str, dataset: str) -> _Kept:
        return self._kept.setdefault((exporter, dataset), _Kept())

    def _keep(self, kept: _Kept, dataset: Dataset, records: list[Record]) -> None:
        cuts: list[Cut] = []
        row = len(kept.lines)
        shortened = [_shortened(record, dataset, row + place, cuts) for place, record in enumerate(records)]
        try:
            text = b"".join(encoded(_json_lines(), dataset, shortened))
        except FormatError:
            # Only if the export has no JSON Lines; its own formats contain all the records.
            kept.full = True
            return
        self._keep_lines(kept, text.split(b"\n")[:-1])
        kept.cuts += [cut for cut in cuts if cut.row < len(kept.lines)]

    def _keep_lines(self, kept: _Kept, lines: Iterable[bytes]) -> None:
        for line in lines:
            room = min(BYTES_MAX - kept.bytes, TOTAL_BYTES_MAX - self._bytes)
            if len(line) > room or len(kept.lines) == RECORDS_MAX:
                kept.full = True
                break
            kept.lines.append(line)
            kept.bytes += len(line)
            self._bytes += len(line)

    def _replace(self, kept: _Kept, dataset: Dataset, row: int, record: Record) -> None:
        cuts: list[Cut] = []
        line = b"".join(encoded(_json_lines(), dataset, [_shortened(record, dataset, row, cuts)])).rstrip(b"\n")
        for count in (len(line), -len(kept.lines[row])):
            kept.bytes += count
            self._bytes += count
        kept.lines[row] = line
        kept.cuts = [cut for cut in kept.cuts if cut.row != row] + cuts

    def _add_json(self, frozen: dict[str, Any]) -> None:
        kept = self._of(*frozen["name"])
        kept.lines = [line.encode() for line in frozen["lines"]]
        kept.cuts = [Cut(*cut) for cut in frozen["cuts"]]
        kept.members = [Shown(*member) for member in frozen["members"]]
        kept.more_members, kept.full = frozen["more_members"], frozen["full"]
        kept.bytes = sum(map(len, kept.lines))
        self._bytes += kept.bytes


def key(object_key: str) -> str:
    """Return the key of the excerpts as of a volume: beside it."""
    return f"{object_key.removesuffix('.zip')}.excerpt"


def load(storage: Storage, object_keys: Sequence[str]) -> Excerpts:
    """Load the excerpts as of the last of an export's stored volumes, whose keys are given in order.

    If they are gone the viewer starts without them: it shows fewer records, and links to the files.

    Raises: StorageUnavailable; VolumeFault if they are damaged.
    """
    if not object_keys:
        return Excerpts()
    try:
        return Excerpts.from_json(b"".join(storage.read(key(object_keys[-1]))))
    except ObjectMissing:
        return Excerpts()


def absorb(storage: Storage, excerpts: Excerpts, stored: Sequence[RowMapping], revision: int) -> None:
    """Add what the other slices of this revision kept; `stored` are the export's volumes in order.

    Raises: StorageUnavailable; VolumeFault if they are damaged.
    """
    last_of: dict[int, str] = {}
    for row in stored:
        if row["slice"] and row["revision"] == revision:
            last_of[row["slice"]] = row["object_key"]
    for _slice, object_key in sorted(last_of.items()):
        excerpts.absorb(load(storage, [object_key]))


def save(storage: Storage, object_key: str, excerpts: Excerpts) -> None:
    """Store the excerpts beside a volume, before it is committed. Raises StorageError."""
    upload = storage.begin(key(object_key))
    with aborted_on_error(upload):
        upload.write(excerpts.to_json())
        upload.complete()


def discard(storage: Storage, object_keys: Iterable[str]) -> None:
    """Delete the excerpts of volumes that later volumes do not need; the sweep deletes the rest."""
    for object_key in object_keys:
        with suppress(StorageError):
            storage.delete(key(object_key))


def withdraw(storage: Storage, object_key: str) -> None:
    """Delete the excerpts beside an aborted volume, and their open upload of a dead worker.

    Raises: StorageError.
    """
    for upload in storage.uploads(key(object_key)):
        storage.abort(upload.key, upload.upload_id)
    storage.delete(key(object_key))


def _key(record: Record, dataset: Dataset) -> tuple[str, ...]:
    return tuple(str(record.get(name)) for name in dataset.key)


@cache
def _json_lines() -> Format | WriterFormat:
    return load_formats([JSON_LINES])[JSON_LINES]


def _shortened(record: Record, dataset: Dataset, row: int, cuts: list[Cut]) -> Record:
    """Return the record with long texts cut, and long objects replaced by the beginning of their JSON text."""
    values: dict[str, JSON] = dict(record)
    for column in dataset.fields:
        value = values.get(column.name)
        if column.type is FieldType.OBJECT and value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        elif column.type is FieldType.STRING and isinstance(value, str):
            text = value
        else:
            continue
        if len(text) > VALUE_CHARS_MAX:
            values[column.name] = text[:VALUE_CHARS_MAX]
            cuts.append(Cut(row, column.name, len(text)))
    return values
