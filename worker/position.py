"""What a slice reads, and where it stands: frozen values that go to the row and come back from it as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from portability.api import Cursor, Slice


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """Files of a batch whose records are written already."""

    resume: Cursor
    """Where the records go on once the files are through."""
    last: str | None = None
    """Name of the last file that is written whole."""
    part: int = 0
    """Parts of the next file that are written, when it goes out in several."""
    offset: int = 0
    """Its bytes in those parts."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Files of one batch that a retry is to fetch: those in `only`, and those that are new beside `but`."""

    only: tuple[str, ...] = ()
    but: tuple[str, ...] | None = None
    """Names that the batch had when it was read first; None: no others are looked for."""

    def wants(self, name: str) -> bool:
        """Whether a file of the batch is to be fetched."""
        return name in self.only or (self.but is not None and name not in self.but)


@dataclass(frozen=True, slots=True)
class Reading:
    """A run of one dataset, and where it begins."""

    ordinal: int
    """The ledger line that it belongs to."""
    slice: Slice | None = None
    """The range of keys, where the dataset is cut."""
    label: str = ""
    """Part of the names of its pieces, where there are several readings of one dataset."""
    after: Cursor | None = None
    files: OpenFiles | None = None
    missed: Missed | None = None
    """Not records, but files of the batch after `after`."""
    gaps: tuple[int, ...] = ()
    """Ids of the gaps that it was made to fill: closed when it ends; what is missing then is a new gap."""

    @classmethod
    def thaw(cls, frozen: Mapping[str, Any]) -> Reading:
        """From the row."""
        cut, files, missed = frozen.get("slice"), frozen.get("files"), frozen.get("missed")
        return cls(
            ordinal=frozen["ordinal"],
            slice=None if cut is None else Slice(**cut),
            label=frozen.get("label", ""),
            after=frozen.get("after"),
            files=None if files is None else OpenFiles(**files),
            missed=None if missed is None else Missed(tuple(missed["only"]), _names(missed["but"])),
            gaps=tuple(frozen.get("gaps", ())),
        )

    def freeze(self) -> dict[str, Any]:
        """For the row: only what is not as it is by default."""
        frozen = asdict(self)
        return {name: value for name, value in frozen.items() if value or name == "ordinal"}


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next volume begins. Frozen; replaced only after storage has confirmed the volume before it."""

    reading: int = 0
    """Which of the slice's readings."""
    after: Cursor | None = None
    piece: int = 0
    """Pieces of this reading that are written."""
    files: OpenFiles | None = None

    @classmethod
    def thaw(cls, frozen: Mapping[str, Any] | None) -> Position:
        """From the row; None is the beginning."""
        if frozen is None:
            return cls()
        files = frozen["files"]
        return cls(frozen["reading"], frozen["after"], frozen["piece"], None if files is None else OpenFiles(**files))

    def freeze(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
