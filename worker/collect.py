"""Collect: datasets, one after the other, into the open volume until it is full or nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from archive.parts import Content, MemberState
from archive.volume import MEMBER_BYTES, Volume
from portability.api import DocumentFormat, Exporter, File, Format, Gap, Selection
from portability.errors import SourceError
from portability.states import DatasetState
from worker import documents, pieces
from worker.checkpoint import OpenFiles, Position
from worker.excerpt import Excerpts
from worker.files import FileStream
from worker.ledger import Tally
from worker.pieces import Piece
from worker.plan import Line, Plan
from worker.reader import Patience, Reader


@dataclass(frozen=True, slots=True)
class Limits:
    """When a volume is full, and how large a piece of records is."""

    volume_bytes: int
    volume_members: int
    piece_bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """What collecting needs to know; `check` is asked between blocks and raises when the job must stop."""

    plan: Plan
    exporters: Mapping[str, Exporter]
    formats: Mapping[str, Format]
    selection: Selection
    limits: Limits
    patience: Patience
    check: Callable[[], None]
    document_formats: Mapping[str, DocumentFormat] = field(default_factory=dict)


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


def fill(collection: Collection, position: Position) -> Position | None:
    """Fill the volume from a position on; returns where the next volume begins, None when all is read."""
    lines = collection.job.plan.lines
    while position.ordinal < len(lines):
        if lines[position.ordinal].state is DatasetState.PENDING:
            stopped = _read_line(collection, lines[position.ordinal], position)
            if stopped is not None:
                return stopped
        position = Position(position.ordinal + 1)
    return None


def _read_line(collection: Collection, line: Line, position: Position) -> Position | None:
    job = collection.job
    tally = collection.tally(position.ordinal)
    if position == Position(position.ordinal):
        tally.began_at = datetime.now(UTC)
    if position.files is not None:
        stopped = _resume_files(collection, line, position, position.files)
        if stopped is not None:
            return stopped
        position = replace(position, after=position.files.resume, files=None)
    reader = _reader(job, line, position.after)
    try:
        while not reader.ended:
            job.check()
            if collection.full:
                return position
            piece = _read_piece(reader, line, job)
            if not collection.takes(piece):
                return position
            position = _write_piece(collection, line, position, piece, last=reader.ended)
            if piece.files and piece.cursor is not None:
                opened = replace(position, after=piece.before, files=OpenFiles(resume=piece.cursor))
                stopped = _write_files(collection, line, opened, piece.files)
                if stopped is not None:
                    return stopped
    finally:
        reader.close()
    _end_line(line, tally, reader.fault)
    return None


def _reader(job: Job, line: Line, after: str | None) -> Reader:
    return Reader(job.exporters[line.exporter], line, job.selection, after, job.patience, job.check)


def _read_piece(reader: Reader, line: Line, job: Job) -> Piece:
    if line.dataset.documents:
        return documents.read(reader, line.dataset, job.document_formats)
    return pieces.read(reader, line.dataset, job.formats, job.limits.piece_bytes)


def _end_line(line: Line, tally: Tally, fault: SourceError | None) -> None:
    tally.ended_at, tally.fault = datetime.now(UTC), fault
    if fault is not None:
        what = f"{line.exporter}/{line.dataset.name}: the rest of its records"
        tally.gaps.append(Gap(what, fault.code, fault.retryable))


def _write_piece(collection: Collection, line: Line, position: Position, piece: Piece, *, last: bool) -> Position:
    tally = collection.tally(position.ordinal)
    tally.gaps.extend(piece.gaps)
    if not piece.records:
        return replace(position, after=piece.cursor)
    # One piece alone needs no number.
    number = "" if last and position.piece == 0 else f"-{position.piece + 1:04}"
    collection.excerpts.take(line.exporter, line.dataset, piece.head)
    for name, body in piece.bodies.items():
        form = collection.job.formats[name]
        path = f"{line.exporter}/{line.dataset.name}{number}{form.suffix}"
        content = Content(line.exporter, line.dataset, form.media_type, records=piece.records)
        collection.volume.add(path, [body], content)
        tally.bytes += len(body)
    for maker, document in piece.documents:
        content = Content(line.exporter, line.dataset, maker.media_type, records=1)
        collection.volume.add(f"{line.exporter}/{line.dataset.name}/{document.name}", [document.body], content)
        tally.bytes += len(document.body)
    tally.records += piece.records
    return replace(position, after=piece.cursor, piece=position.piece + 1)


def _resume_files(collection: Collection, line: Line, position: Position, opened: OpenFiles) -> Position | None:
    """Ask again for the batch whose records are written, and go on with its files."""
    reader = _reader(collection.job, line, position.after)
    try:
        batch = reader.next()
    finally:
        reader.close()
    if batch is None:
        if reader.fault is not None:
            what = f"{line.exporter}/{line.dataset.name}: files after {opened.last or 'the first'}"
            collection.tally(position.ordinal).gaps.append(Gap(what, reader.fault.code, reader.fault.retryable))
        return None
    return _write_files(collection, line, position, batch.files)


def _write_files(collection: Collection, line: Line, position: Position, files: tuple[File, ...]) -> Position | None:
    """Write a batch's files after the last one written; returns where to go on if the volume is full before the end."""
    opened = position.files
    assert opened is not None  # noqa: S101  # both callers have just set it
    names = [file.name for file in files]
    # Where the last file is gone from the source, the whole batch is written again: twice is better than never.
    begin = names.index(opened.last) + 1 if opened.last in names else 0
    for file in files[begin:]:
        stopped = _write_file(collection, line, replace(position, files=opened), file)
        if stopped is not None:
            return stopped
        opened = OpenFiles(opened.resume, last=file.name)
    return None


def _write_file(collection: Collection, line: Line, position: Position, file: File) -> Position | None:
    job, tally, opened = collection.job, collection.tally(position.ordinal), position.files
    assert opened is not None  # noqa: S101  # set by _write_files
    stream = FileStream(file, f"{line.dataset.name}/{file.name}", opened.offset, job.patience)
    limit = min(MEMBER_BYTES, job.limits.volume_bytes)
    part = opened.part
    while part == 0 or stream.more:
        job.check()
        left = limit if file.size is None else min(limit, max(file.size - stream.offset, 0))
        if not collection.has_room_for(left):
            return replace(position, files=replace(opened, part=part, offset=stream.offset))
        if part == 0 and not stream.more and stream.gap is not None:
            # Not a single byte: a gap, and no empty file that looks like a recording.
            tally.gaps.append(stream.gap)
            return None
        before = stream.offset
        whole = part == 0 and (file.size is None or file.size <= limit)
        path = f"{line.exporter}/{line.dataset.name}/{file.name}" + ("" if whole else f".part-{part + 1:04}")
        _add_file(collection, line, path, file, stream, limit)
        tally.bytes += stream.offset - before
        part += 1
    if stream.gap is not None:
        tally.gaps.append(stream.gap)
    tally.files += 1
    return None


def _add_file(collection: Collection, line: Line, path: str, file: File, stream: FileStream, limit_bytes: int) -> None:
    check = collection.job.check

    def blocks() -> Iterator[bytes]:
        for block in stream.part(limit_bytes):
            check()
            yield block

    def content() -> Content:
        # Only after the last block is it known whether the file is whole.
        state: MemberState = "truncated" if not stream.more and stream.gap is not None else "complete"
        return Content(line.exporter, line.dataset, file.media_type, file=file.name, state=state)

    collection.volume.add(path, blocks(), content, media_type=file.media_type)
