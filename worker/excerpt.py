"""Excerpts: while records pass by, the first ones of each dataset are kept for the viewer of the closing volume.

They grow from volume to volume. What a volume added is frozen beside it in storage and counts once the volume is
committed, so that a crash loses and doubles nothing.
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
from portability.api import JSON, Dataset, FieldType, Format, Record
from portability.errors import FormatError, ObjectMissing, StorageError, VolumeFault
from portability.plugins import load_formats
from portability.storage import Storage
from worker.plan import Line

RECORDS_MAX = 2_000
"""Of one dataset."""
BYTES_MAX = 2 << 20
"""Of one dataset, as JSON lines."""
TOTAL_BYTES_MAX = 48 << 20
VALUE_CHARS_MAX = 20_000
MEMBERS_MAX = 2_000
"""Files of one dataset that are pointed at."""
VERSION = 1
JSON_LINES = "jsonl"
"""The format by which the viewer reads records, whatever formats the export is in."""
_STEP_RECORDS = 20


@dataclass(slots=True)
class _Kept:
    """Of one dataset."""

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
        """Keep what still fits of records that were written to the open volume, in their order."""
        kept = self._of(exporter, dataset.name)
        arriving = iter(records)
        while not kept.full and (step := list(islice(arriving, _STEP_RECORDS))):
            self._keep(kept, dataset, step)

    def note(self, volume: str, members: Iterable[Member]) -> None:
        """Keep where the files of a volume lie: pieces of records as well as recordings and attachments."""
        for member in members:
            content = member.content
            kept = self._of(content.exporter, content.dataset.name)
            if len(kept.members) == MEMBERS_MAX:
                kept.more_members += 1
                continue
            facts = (content.media_type, content.records, content.file, content.state)
            kept.members.append(Shown(member.path, volume, member.bytes, *facts))

    def shown(self, lines: Iterable[Line]) -> Iterator[Excerpt]:
        """One excerpt for each dataset of a plan, in its order; empty where nothing was read."""
        datasets = {(line.exporter, line.dataset.name): line.dataset for line in lines}
        for name, dataset in datasets.items():
            kept = self._kept.get(name, _Kept())
            yield Excerpt(name[0], dataset, kept.lines, kept.cuts, kept.members, kept.more_members)

    def absorb(self, other: Excerpts) -> None:
        """Add what another slice kept, as far as there is room, after what is here."""
        for (exporter, dataset), theirs in other._kept.items():
            kept = self._of(exporter, dataset)
            row = len(kept.lines)
            if not kept.full:
                self._keep_lines(kept, theirs.lines)
            kept.full = kept.full or theirs.full
            kept.cuts += [replace(c, row=row + c.row) for c in theirs.cuts if row + c.row < len(kept.lines)]
            room = MEMBERS_MAX - len(kept.members)
            kept.members += theirs.members[:room]
            kept.more_members += theirs.more_members + len(theirs.members[room:])

    def freeze(self) -> bytes:
        """All of it, deflated."""
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
    def thaw(cls, frozen: bytes) -> Excerpts:
        """What `freeze` gave. Raises VolumeFault for anything else."""
        excerpts = cls()
        try:
            document = orjson.loads(zlib.decompress(frozen))
            if document["version"] != VERSION:
                raise VolumeFault(f"the excerpts in storage are of version {document['version']}, not {VERSION}")
            for dataset in document["datasets"]:
                excerpts._thaw(dataset)
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
            encoded = b"".join(_json_lines().encode(dataset, shortened))
        except FormatError:
            # Only where the export has no JSON Lines: its own formats took the records, and hold them all.
            kept.full = True
            return
        self._keep_lines(kept, encoded.split(b"\n")[:-1])
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

    def _thaw(self, frozen: dict[str, Any]) -> None:
        kept = self._of(*frozen["name"])
        kept.lines = [line.encode() for line in frozen["lines"]]
        kept.cuts = [Cut(*cut) for cut in frozen["cuts"]]
        kept.members = [Shown(*member) for member in frozen["members"]]
        kept.more_members, kept.full = frozen["more_members"], frozen["full"]
        kept.bytes = sum(map(len, kept.lines))
        self._bytes += kept.bytes


def key(object_key: str) -> str:
    """Where the excerpts as of a volume lie: beside it."""
    return f"{object_key.removesuffix('.zip')}.excerpt"


def load(storage: Storage, object_keys: Sequence[str]) -> Excerpts:
    """The excerpts as of the last of an export's stored volumes, whose keys are given in order.

    Where they are gone the viewer begins anew: it shows less, and points at the files.

    Raises: StorageUnavailable; VolumeFault where they are damaged.
    """
    if not object_keys:
        return Excerpts()
    try:
        return Excerpts.thaw(b"".join(storage.read(key(object_keys[-1]))))
    except ObjectMissing:
        return Excerpts()


def absorb(storage: Storage, excerpts: Excerpts, stored: Sequence[RowMapping], revision: int) -> None:
    """Add what the other slices of this revision kept; `stored` are the export's volumes in order.

    Raises: StorageUnavailable; VolumeFault where they are damaged.
    """
    last_of: dict[int, str] = {}
    for row in stored:
        if row["slice"] and row["revision"] == revision:
            last_of[row["slice"]] = row["object_key"]
    for _slice, object_key in sorted(last_of.items()):
        excerpts.absorb(load(storage, [object_key]))


def save(storage: Storage, object_key: str, excerpts: Excerpts) -> None:
    """Put the excerpts beside a volume, before it is committed. Raises StorageError."""
    upload = storage.begin(key(object_key))
    try:
        upload.write(excerpts.freeze())
        upload.complete()
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise


def discard(storage: Storage, object_keys: Iterable[str]) -> None:
    """Delete the excerpts of volumes that no later volume asks for; what cannot be deleted is left to the sweep."""
    for object_key in object_keys:
        with suppress(StorageError):
            storage.delete(key(object_key))


def withdraw(storage: Storage, object_key: str) -> None:
    """Delete what lies beside a volume that was given up, and an upload of it that a dead worker left open.

    Raises: StorageError.
    """
    for upload in storage.uploads(key(object_key)):
        storage.abort(upload.key, upload.upload_id)
    storage.delete(key(object_key))


@cache
def _json_lines() -> Format:
    return load_formats([JSON_LINES])[JSON_LINES]


def _shortened(record: Record, dataset: Dataset, row: int, cuts: list[Cut]) -> Record:
    """The record with its long texts cut, and its long objects as the beginning of their JSON text."""
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
