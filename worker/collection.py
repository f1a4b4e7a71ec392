"""The open volume while datasets are collected into it: what it takes, and what it adds to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from archive.volume import MEMBER_BYTES, Volume
from portability.api import DocumentFormat, Exporter, Format, Selection
from worker.excerpt import Excerpts
from worker.ledger import Tally
from worker.people import Treat, as_it_is
from worker.pieces import Piece
from worker.plan import Line, Plan
from worker.position import Reading
from worker.reader import Patience
from worker.screening import Screen


@dataclass(frozen=True, slots=True)
class Limits:
    """When a volume is full, and how large a piece of records is."""

    volume_bytes: int
    volume_members: int
    piece_bytes: int

    @property
    def member_bytes(self) -> int:
        """A larger file goes out in pieces of this size."""
        return min(MEMBER_BYTES, self.volume_bytes)


@dataclass(frozen=True, slots=True)
class Job:
    """What collecting needs to know; `check` is asked between blocks and raises when the job must stop."""

    plan: Plan
    readings: Sequence[Reading]
    """What this slice reads, in this order."""
    exporters: Mapping[str, Exporter]
    formats: Mapping[str, Format]
    selection: Selection
    limits: Limits
    patience: Patience
    check: Callable[[], None]
    document_formats: Mapping[str, DocumentFormat] = field(default_factory=dict)
    screen: Screen = field(default_factory=Screen)
    """Looks through everything that leaves."""
    tell: Callable[[Line, str], None] = lambda _line, _code: None
    """Told at once why a dataset or file ends early."""
    treat: Treat = as_it_is
    """What becomes of other people's details in each batch."""


@dataclass(slots=True)
class Collection:
    """The open volume, and what it adds to the ledger."""

    job: Job
    volume: Volume
    excerpts: Excerpts = field(default_factory=Excerpts)
    tallies: dict[int, Tally] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether the next piece belongs into the next volume. A volume takes at least one member."""
        limits, volume = self.job.limits, self.volume
        room_for_a_piece = volume.members + len(self.job.formats) <= limits.volume_members
        return self.begun and (volume.bytes_written >= limits.volume_bytes or not room_for_a_piece)

    @property
    def begun(self) -> bool:
        """Whether it holds a member already."""
        return self.volume.members > 0

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether a file of this size still fits; into an empty volume everything does."""
        fits = self.volume.bytes_written + size_bytes <= self.job.limits.volume_bytes
        return not self.begun or (fits and not self.full)

    def progress(self) -> dict[str, int]:
        """How far the open volume is; asked from another thread."""
        tallies = list(self.tallies.values())
        return {
            "datasets": sum(tally.ended_at is not None for tally in tallies),
            "records": sum(tally.records for tally in tallies),
            "files": sum(tally.files for tally in tallies),
            "bytes": sum(tally.bytes for tally in tallies),
        }

    def takes(self, piece: Piece) -> bool:
        """Whether a piece's members still fit; into an empty volume everything does."""
        return not self.begun or self.volume.members + piece.members <= self.job.limits.volume_members

    def tally(self, ordinal: int) -> Tally:
        """The ledger line's tally in this volume."""
        return self.tallies.setdefault(ordinal, Tally())
