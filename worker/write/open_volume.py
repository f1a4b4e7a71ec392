"""The open volume: what the slice reads, what still fits, the ledger's tallies, and where the next volume begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from archive.summary.pdf import Typesetter
from archive.write.volume import MEMBER_BYTES, Volume
from portability.api import Cursor, DocumentFormat, Exporter, Format, Gap, Selection, Slice, WriterFormat
from portability.people.resolution import Unresolved
from portability.requests.exports import BegunExport
from worker.plan.coverage import PlannedCoverage, gaps
from worker.plan.plan import ExportPlan, PlanLine
from worker.plan.position import Missed, OpenFiles, Position, Reading
from worker.read.identities import RecordsBeyond
from worker.read.reader import OpenCursor, Reader, SourcePatience, plain_cursor
from worker.read.redaction import Redact, as_it_is
from worker.read.screening import Screen
from worker.write.changes import Choose, VolumeChanges, everything
from worker.write.excerpts import Excerpts
from worker.write.forms import VolumeForms
from worker.write.ledger import LedgerTally, Missing
from worker.write.shards import JSON_LINES, ShardCutter, Shards


@dataclass(frozen=True, slots=True)
class VolumeLimits:
    """When a volume is full, and how large a piece of records is."""

    volume_bytes: int
    volume_members: int
    piece_bytes: int

    @property
    def member_bytes(self) -> int:
        """Return the size at which a file is split into parts."""
        return min(MEMBER_BYTES, self.volume_bytes)


@dataclass(frozen=True, slots=True)
class SliceJob:
    """What a slice reads, and with which tools; `check` is called between blocks and raises when the job must stop."""

    plan: ExportPlan
    readings: Sequence[Reading]
    """The readings of this slice, in this order."""
    exporters: Mapping[str, Exporter]
    formats: Mapping[str, Format | WriterFormat]
    selection: Selection
    limits: VolumeLimits
    patience: SourcePatience
    check: Callable[[], None]
    document_formats: Mapping[str, DocumentFormat] = field(default_factory=dict)
    forms: Mapping[str, WriterFormat] = field(default_factory=dict)
    screen: Screen = field(default_factory=Screen)
    """Scans all outgoing data."""
    report_gap: Callable[[PlanLine, str, str], None] = lambda _line, _code, _seen: None
    """Called at once with the reason when a dataset or file ends early."""
    redact: Redact = as_it_is
    """Redacts other people's details in each batch."""
    unresolved: Mapping[str, Mapping[str, Unresolved]] = field(default_factory=dict)
    """By exporter: unresolved plug-ins that lead to its records."""
    begun_without: tuple[str, ...] = ()
    """Plug-ins that were unresolved when an earlier volume began the reading that continues in this volume."""
    begins_at: int = 0
    """The index of that reading."""
    retention_cutoff: Callable[[PlanLine], datetime | None] = lambda _line: None
    """Returns when a retention period that is over began at the latest; None: unknown."""
    unknown_approved: bool = False
    """Whether a person approved the export of a subject that no source knows."""
    open_gaps: Mapping[int, Mapping[Any, Any]] = field(default_factory=dict)
    """Rows of the export's gaps when this volume began, by id; only while there is something to read."""
    reviewed: int = 0
    """The number of the last decision on reviews that applies."""
    has_shards: bool = True
    """Whether the viewer shows all records."""
    is_review_lost: bool = False
    """Whether the source no longer shows a record as unclear whose gap is to be filled: such gaps stay open."""
    coverage: tuple[PlannedCoverage, ...] = ()
    """The coverage of the sources when the export was planned."""
    begun: BegunExport | None = None
    """The export, if this claim has planned it for one slice before its first volume: no other claim writes to it."""
    open_cursor: OpenCursor = plain_cursor
    """Opens a cursor that was stored, for its exporter."""
    confirm: Callable[[], None] = lambda: None
    """Called when a volume has been read; raises if an identity with which it was read is no longer the subject's."""
    present: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Returns the time of the control database."""
    plan_for: Callable[[tuple[str, ...], int, tuple[tuple[str, str], ...]], ExportPlan] | None = None
    """Makes the plan for the subject without the identities that some plug-ins find, with the decisions on reviews up
    to a number, and without the instructions for some people."""

    @property
    def undecided(self) -> Mapping[int, tuple[Gap, ...]]:
        """Return the gaps of what no one has decided on, by the ordinal of the line."""
        return gaps(self.plan, self.coverage)

    def line(self, reading: Reading, without: tuple[str, ...]) -> PlanLine:
        """Return a reading's line, for the subject without the identities of some plug-ins."""
        plan = self.plan_for(without, self.reviewed, ()) if without and self.plan_for is not None else self.plan
        return plan.lines[reading.ordinal]

    def line_before(self, reading: Reading) -> PlanLine:
        """Return the line of a further reading, for the subject as it was when the dataset was read before."""
        if self.plan_for is None:
            return self.plan.lines[reading.ordinal]
        number = self.reviewed if reading.reviewed is None else reading.reviewed
        return self.plan_for((*reading.without, *reading.beyond), number, reading.instructed).lines[reading.ordinal]


class VolumeFull(Exception):
    """The next member does not fit: the next volume begins with it."""


@dataclass(slots=True)
class OpenVolume:
    """A volume while it is written. Whenever it ends, `position` is where the next volume begins."""

    job: SliceJob
    output: Volume
    position: Position
    excerpts: Excerpts = field(default_factory=Excerpts)
    forms: VolumeForms = field(default_factory=VolumeForms)
    """Copies of the records for a purpose; their files are added at the end."""
    tallies: dict[int, LedgerTally] = field(default_factory=dict)
    """Tallies for the ledger, by the ordinal of the line."""
    shards: Shards | None = None
    """All records for the viewer; None: it shows the excerpt."""
    typesetter: Typesetter = field(default_factory=Typesetter)
    """Makes summary.pdf of a closing volume."""
    changes: VolumeChanges | None = None
    """What a feed has not delivered yet; None: the export belongs to no feed."""
    file_names: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names of the files that this volume has, by the ordinal of their line."""

    @property
    def has_members(self) -> bool:
        return self.output.members > 0

    @property
    def is_read(self) -> bool:
        """Return whether everything that the slice reads is in this volume or an earlier one."""
        return self.position.reading >= len(self.job.readings)

    def require_room(self, members: int, size_bytes: int = 0) -> None:
        """Check that `members` members of this size still fit; the first member always fits. Raises VolumeFull."""
        limits, written = self.job.limits, self.output.bytes_written + self.forms.bytes
        fits_bytes = written < limits.volume_bytes and written + size_bytes <= limits.volume_bytes
        fits = fits_bytes and self.output.members + self.forms.members + members <= limits.volume_members
        if self.has_members and not fits:
            raise VolumeFull

    def progress(self) -> dict[str, int]:
        """Return counts of what is written so far; called from another thread."""
        tallies = list(self.tallies.values())
        return {
            "datasets": sum(tally.ended_at is not None for tally in tallies),
            "records": sum(tally.records for tally in tallies),
            "files": sum(tally.files for tally in tallies),
            "bytes": sum(tally.bytes for tally in tallies),
        }


@dataclass(frozen=True, slots=True)
class DatasetRun:
    """One reading of a dataset that is being written into the open volume."""

    volume: OpenVolume
    reading: Reading
    line: PlanLine
    tally: LedgerTally
    without: tuple[str, ...] = ()
    """Plug-ins whose identities the subject does not have."""

    def go_to(self, after: Cursor | None, files: OpenFiles | None = None) -> None:
        """Move the volume's position within this reading: after a batch, or among its files."""
        self.volume.position = replace(self.volume.position, after=after, files=files)

    def add_gap(
        self, gap: Gap, after: Cursor | None, files: OpenFiles | None = None, missed: Missed | None = None
    ) -> None:
        """Add a gap, and the reading that could fill it: records after a cursor, or a batch again."""
        reading = self.reading
        resume = Reading(
            *(reading.ordinal, reading.slice, "", after, files, missed),
            without=self.without,
            beyond=reading.beyond,
            instructed=reading.instructed,
            reviewed=reading.reviewed,
        )
        self.tally.gaps.append(Missing(gap, resume))

    def add_review(self, gap: Gap) -> None:
        """Add the gap of a record that someone must review, and the reading that a later decision makes possible."""
        resume = Reading(self.reading.ordinal, without=self.without, reviewed=self.volume.job.reviewed)
        self.tally.gaps.append(Missing(gap, resume))

    @property
    def to_fill(self) -> Sequence[Mapping[Any, Any]]:
        """Return the rows of the gaps that this reading is for and that are still open."""
        open_gaps, filled = self.volume.job.open_gaps, self.tally.filled
        return [open_gaps[gap] for gap in self.reading.gaps if gap in open_gaps and gap not in filled]

    def fill(self, gap: Mapping[Any, Any]) -> None:
        """Close a gap: what was missing is in this volume, or a new gap replaces it."""
        self.tally.filled.append(gap["id"])

    @property
    def choose(self) -> Choose:
        """Return what chooses the records that are written."""
        changes = self.volume.changes
        return everything if changes is None else partial(changes.choose, self.line.exporter)

    def shard_cutter(self) -> ShardCutter | None:
        """Return what cuts a piece into shards; None: the viewer shows the excerpt."""
        volume = self.volume
        has_shards = volume.shards and JSON_LINES in volume.job.formats
        return ShardCutter(self.line.exporter, self.line.dataset) if has_shards else None

    def reader(self) -> Reader:
        """Return a reader of the dataset's batches from the volume's position on."""
        job = self.volume.job
        cutoff = job.retention_cutoff(self.line)
        changes, line = self.volume.changes, self.line
        keys = None if changes is None else changes.keys_of(line.exporter, line.dataset.name)
        part = self.reading.slice and _opened(self.reading.slice, job.open_cursor)
        selection = replace(job.selection, slice=part, retention_cutoff=cutoff, keys=keys)
        exporter = job.exporters[self.line.exporter]
        if self.reading.is_further:
            fewer = job.line_before(self.reading).subject
            exporter = RecordsBeyond(exporter, fewer, is_review=self.reading.reviewed is not None)
        return Reader(exporter, self.line, selection, self.volume.position.after, job.patience, job.open_cursor)


def _opened(part: Slice, open_cursor: OpenCursor) -> Slice:
    """Return a slice for its exporter: its bounds are stored like cursors."""
    return Slice(part.begin and open_cursor(part.begin), part.end and open_cursor(part.end))
