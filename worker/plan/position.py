"""What a slice reads and its position: immutable values that are stored in the row as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from portability.api import Cursor, File, Slice

NUMBERS = ("ordinal", "reviewed")
"""Values of a reading that are stored even if they are 0."""


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """Files of a batch whose records are already written."""

    resume: Cursor
    """Where records continue after the files."""
    last: str | None = None
    """Name of the last file that is written completely."""
    part: int = 0
    """Number of written parts of the next file, if it is split."""
    offset: int = 0
    """Bytes of the next file in those parts."""
    records: int = 0
    """Number of records in the batch when it was first read; 0: not known."""
    wanted: tuple[str, ...] | None = None
    """Names of the files to write, in their order; None: a retry has not compared the batch with its gaps yet."""
    version: str = ""
    """What the source stated of the next file when its first part was written, as `version_of`; empty: not known."""

    @classmethod
    def from_json(cls, frozen: Mapping[str, Any]) -> OpenFiles:
        """Make it from the JSON of the row."""
        return cls(**{**frozen, "wanted": _names(frozen.get("wanted"))})

    def behind(self, name: str) -> OpenFiles:
        """Return the place after a file that is written completely."""
        return replace(self, last=name, part=0, offset=0, version="")

    def is_of(self, file: File) -> bool:
        """Return whether the parts that are written are of the version of the file that the source has now."""
        return not (self.offset and self.version) or self.version == version_of(file)


@dataclass(frozen=True, slots=True)
class Missed:
    """What is missing of a batch that was read: by gap, what a retry looks for when it reads the batch again.

    With neither of them: a value or file of the record that the gap names.
    """

    only: tuple[str, ...] = ()
    """Names of files that could not be read to their end."""
    but: tuple[str, ...] | None = None
    """All files of the batch that are not among these names."""
    whole: bool = True
    """The gap names no record: when it is gone, all records of the batch are delivered again."""

    @classmethod
    def from_json(cls, frozen: Mapping[str, Any]) -> Missed:
        """Make it from the JSON of the row."""
        return cls(tuple(frozen["only"]), _names(frozen["but"]), frozen.get("whole", True))


@dataclass(frozen=True, slots=True)
class Reading:
    """A part of one dataset to read, and where it begins."""

    ordinal: int
    """The ordinal of the ledger line that it belongs to."""
    slice: Slice | None = None
    """The range of keys, if the dataset is cut."""
    label: str = ""
    """Part of the names of its pieces, if a dataset has several readings."""
    after: Cursor | None = None
    files: OpenFiles | None = None
    missed: Missed | None = None
    """If set: read the batch after `after` again, for what is missing of it."""
    gaps: tuple[int, ...] = ()
    """Ids of the gaps that it was made to fill. Without `missed` they are closed when it ends: a fault is a new gap.
    With `missed` each is closed when what was missing is written (worker/write/read_again.py)."""
    without: tuple[str, ...] = ()
    """Plug-ins whose identities are left out here, because an earlier reading began without them."""
    beyond: tuple[str, ...] = ()
    """Read only records that identities of these plug-ins lead to: the others were read before."""
    instructed: tuple[tuple[str, str], ...] = ()
    """Read only what the instructions for these people add, each (tenant, person): the others were read before."""
    reviewed: int | None = None
    """Read only records that decisions on reviews after this number lead to: the others were read before."""

    @property
    def is_further(self) -> bool:
        """Return whether it reads only records that were not the subject's when the dataset was read before."""
        return bool(self.beyond or self.instructed) or self.reviewed is not None

    @property
    def is_beginning(self) -> bool:
        """Return whether it is the first reading of a ledger line, and not a retry."""
        is_retry = bool(self.gaps or self.beyond) or self.missed is not None or self.reviewed is not None
        return not is_retry and self.after is None and (self.slice is None or self.slice.begin is None)

    @classmethod
    def from_json(cls, frozen: Mapping[str, Any]) -> Reading:
        """Make it from the JSON of the row."""
        cut, files, missed = frozen.get("slice"), frozen.get("files"), frozen.get("missed")
        return cls(
            ordinal=frozen["ordinal"],
            slice=None if cut is None else Slice(**cut),
            label=frozen.get("label", ""),
            after=frozen.get("after"),
            files=None if files is None else OpenFiles.from_json(files),
            missed=None if missed is None else Missed.from_json(missed),
            without=tuple(frozen.get("without", ())),
            beyond=tuple(frozen.get("beyond", ())),
            instructed=tuple((tenant, person) for tenant, person in frozen.get("instructed", ())),
            reviewed=frozen.get("reviewed"),
            gaps=tuple(frozen.get("gaps", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON for the row: only values that differ from the defaults."""
        frozen = _frozen(self)
        return {name: value for name, value in frozen.items() if value or (name in NUMBERS and value is not None)}


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next volume begins. Immutable; replaced only after storage has confirmed the previous volume."""

    reading: int = 0
    """Index of the current one of the slice's readings."""
    after: Cursor | None = None
    piece: int = 0
    """Number of pieces of this reading that are written."""
    files: OpenFiles | None = None

    @classmethod
    def from_json(cls, frozen: Mapping[str, Any] | None) -> Position:
        """Make it from the JSON of the row; None is the beginning."""
        if frozen is None:
            return cls()
        files = frozen["files"]
        opened = None if files is None else OpenFiles.from_json(files)
        return cls(frozen["reading"], frozen["after"], frozen["piece"], opened)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON for the row."""
        return _frozen(self)


def version_of(file: File) -> str:
    """Return a hash of what a source states of the content of a file."""
    stated = [file.etag, file.sha256, file.size, str(file.modified or "")]
    return blake2b(json.dumps(stated).encode(), digest_size=8).hexdigest()


def _frozen(place: Reading | Position) -> dict[str, Any]:
    """Return all values: the version of a file only within the file, because earlier workers cannot read it."""
    frozen = asdict(place)
    if place.files and not place.files.version:
        del frozen["files"]["version"]
    return frozen


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
