"""Collect: datasets, one after the other, into the open volume until it is full or nothing is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from archive.parts import Content, MemberState
from portability.api import Cursor, File, Gap
from portability.errors import SourceError, SourceStalled
from portability.states import DatasetState
from worker import documents, pieces
from worker.collection import Collection, Job
from worker.files import FileStream, streams
from worker.ledger import Missing, Tally
from worker.pieces import Piece, Shortfall
from worker.plan import Line
from worker.position import Missed, OpenFiles, Position, Reading
from worker.reader import Reader
from worker.screening.values import Counts

WITHDRAWN = "instruction_withdrawn"
"""The reason of a gap: a tenant's order ended while the export ran."""
STALLS_MAX = 3
"""So many files of a dataset stall one after the other, and no other is asked for in this volume."""


@dataclass(frozen=True, slots=True)
class _Course:
    """What is being read: a reading of a line, for the ledger's tally of that line."""

    reading: Reading
    line: Line
    tally: Tally

    def missing(
        self, gap: Gap, after: Cursor | None, files: OpenFiles | None = None, missed: Missed | None = None
    ) -> None:
        """Take down a gap, and the reading that would fill it: records from a cursor on, or files of one batch."""
        resume = Reading(self.reading.ordinal, self.reading.slice, "", after, files, missed)
        self.tally.gaps.append(Missing(gap, resume))


def fill(collection: Collection, position: Position) -> Position | None:
    """Fill the volume from a position on; returns where the next volume begins, None when all is read."""
    job = collection.job
    while position.reading < len(job.readings):
        reading = job.readings[position.reading]
        line = job.plan.lines[reading.ordinal]
        course = _Course(reading, line, collection.tally(reading.ordinal))
        if line.state is DatasetState.PENDING:
            stopped = _read(collection, course, position)
            if stopped is not None:
                return stopped
        if line.state is DatasetState.PENDING or line.withdrawn:
            _end(course)
        position = Position(position.reading + 1)
    return None


def _read(collection: Collection, course: _Course, position: Position) -> Position | None:
    reading, tally = course.reading, course.tally
    if is_first := position == Position(position.reading):
        tally.began_at = tally.began_at or datetime.now(UTC)
        position = replace(position, after=reading.after, files=reading.files)
    if position.files is not None:
        stopped = _resume_files(collection, course, position, position.files, is_first=is_first)
        if stopped is not None:
            return stopped
        position = replace(position, after=position.files.resume, files=None)
    if reading.missed is None:
        stopped, fault = _read_records(collection, course, position)
        if stopped is not None:
            return stopped
        tally.fault = fault or tally.fault
    return None


def _end(course: _Course) -> None:
    line, tally = course.line, course.tally
    if line.withdrawn:
        what = f"{line.name}: what was not read yet when {', '.join(line.withdrawn)} withdrew its instruction"
        tally.gaps.append(Missing(Gap(what, WITHDRAWN)))
    tally.ended += 1
    tally.ended_at = datetime.now(UTC)
    tally.filled.extend(course.reading.gaps)


def _read_records(
    collection: Collection, course: _Course, position: Position
) -> tuple[Position | None, SourceError | None]:
    """Where to go on if the volume is full before the end; else None, and the fault that ended the run early."""
    job, line = collection.job, course.line
    reader = _reader(job, course, position.after)
    try:
        while not reader.ended:
            job.check()
            if collection.full:
                return position, None
            piece = _read_piece(reader, line, job)
            if not collection.takes(piece):
                return position, None
            position = _write_piece(collection, course, position, piece, last=reader.ended)
            if piece.files and piece.cursor is not None:
                opened = replace(position, after=piece.before, files=OpenFiles(resume=piece.cursor))
                stopped = _write_files(collection, course, opened, piece.files)
                if stopped is not None:
                    return stopped, None
            del piece  # its bytes go before the next ones come
    finally:
        reader.close()
    if reader.fault is not None:
        job.tell(line, reader.fault.code)
        what = f"{line.name}: the rest of its records"
        course.missing(Gap(what, reader.fault.code, reader.fault.retryable), position.after)
    return None, reader.fault


def _reader(job: Job, course: _Course, after: Cursor | None) -> Reader:
    selection = replace(job.selection, slice=course.reading.slice)
    return Reader(job.exporters[course.line.exporter], course.line, selection, after, job.patience)


def _read_piece(reader: Reader, line: Line, job: Job) -> Piece:
    if line.dataset.documents:
        return documents.read(reader, line.dataset, job.document_formats, job.screen, job.treat)
    return pieces.read(reader, line.dataset, job.formats, job.limits.piece_bytes, job.screen, job.treat)


def _write_piece(collection: Collection, course: _Course, position: Position, piece: Piece, *, last: bool) -> Position:
    line, tally = course.line, course.tally
    _note_shortfalls(course, piece.shortfalls)
    tally.gaps.extend(Missing(gap) for gap in piece.lost)
    tally.redactions += piece.redactions
    tally.findings += piece.findings
    if not piece.records:
        return replace(position, after=piece.cursor)
    number = _piece_name(course.reading, position.piece, last=last)
    collection.excerpts.take(line.exporter, line.dataset, piece.head)
    for name, blocks in piece.bodies.items():
        form = collection.job.formats[name]
        path = f"{line.exporter}/{line.dataset.name}{number}{form.suffix}"
        content = Content(line.exporter, line.dataset, form.media_type, records=piece.records)
        collection.volume.add(path, blocks, content)
        tally.bytes += sum(map(len, blocks))
    for maker, document in piece.documents:
        content = Content(line.exporter, line.dataset, maker.media_type, records=1)
        collection.volume.add(f"{line.exporter}/{line.dataset.name}/{document.name}", [document.body], content)
        tally.bytes += len(document.body)
    tally.records += piece.records
    return replace(position, after=piece.cursor, piece=position.piece + 1)


def _piece_name(reading: Reading, piece: int, *, last: bool) -> str:
    """What follows the dataset's name. The only piece of a dataset that is read in one needs no number."""
    if reading.label:
        return f"-{reading.label}-{piece + 1:04}"
    return "" if last and piece == 0 else f"-{piece + 1:04}"


def _note_shortfalls(course: _Course, shortfalls: Iterable[Shortfall]) -> None:
    for short in shortfalls:
        for place, gap in enumerate(short.gaps):
            # The names once for each batch are enough: what is of one batch is fetched again together.
            missed = Missed(but=short.files if place == 0 else None)
            course.missing(gap, short.before, OpenFiles(short.cursor), missed)


def _resume_files(
    collection: Collection, course: _Course, position: Position, opened: OpenFiles, *, is_first: bool
) -> Position | None:
    """Ask again for the batch whose records are written, and go on with its files."""
    line, missed = course.line, course.reading.missed
    reader = _reader(collection.job, course, position.after)
    try:
        batch = reader.next()
    finally:
        reader.close()
    what = f"{line.name}: files after {opened.last or 'the first'}"
    # Its names again as they were when its records were written; they are counted already.
    batch = None if batch is None else collection.job.screen.named(batch, Counts())
    if batch is None:
        if reader.fault is not None:
            collection.job.tell(line, reader.fault.code)
            gap = Gap(what, reader.fault.code, reader.fault.retryable)
            course.missing(gap, position.after, opened, missed or Missed(but=()))
        elif missed is not None:
            course.missing(Gap(what, "missing"), position.after, opened, missed)
        return None
    if missed is None:
        return _write_files(collection, course, position, batch.files)
    if is_first:
        _note_shortfalls(course, pieces.shortfalls([batch], [position.after]))
    return _write_files(collection, course, position, tuple(f for f in batch.files if missed.wants(f.name)))


def _write_files(
    collection: Collection, course: _Course, position: Position, files: tuple[File, ...]
) -> Position | None:
    """Write a batch's files after the last one written; returns where to go on if the volume is full before the end."""
    opened = position.files
    assert opened is not None  # noqa: S101  # both callers have just set it
    names = [file.name for file in files]
    # Where the last file is gone from the source, the whole batch is written again: twice is better than never.
    begin = names.index(opened.last) + 1 if opened.last in names else 0
    job = collection.job
    made = streams(files[begin:], course.line.dataset.name, opened.offset, job.limits.member_bytes, job.patience)
    with ExitStack() as opening:
        for stream in made:
            opening.callback(stream.close)
        for stream in made:
            stopped = _write_file(collection, course, replace(position, files=opened), stream)
            if stopped is not None:
                return stopped
            opened = OpenFiles(opened.resume, last=stream.file.name)
    return None


def _write_file(collection: Collection, course: _Course, position: Position, stream: FileStream) -> Position | None:
    job, tally, opened = collection.job, course.tally, position.files
    assert opened is not None  # noqa: S101  # set by _write_files
    rest = (position.after, OpenFiles(opened.resume), Missed((stream.file.name,)))
    if tally.stalls >= STALLS_MAX:
        course.missing(Gap(stream.what, SourceStalled.code, SourceStalled.retryable), *rest)
        return None
    with closing(stream):
        stopped = _write_parts(collection, course, position, stream)
    is_stalled = stream.gap is not None and stream.gap.reason == SourceStalled.code
    tally.stalls = tally.stalls + 1 if is_stalled else 0
    if stopped is None and stream.gap is not None:
        job.tell(course.line, stream.gap.reason)
        course.missing(stream.gap, *rest)
    return stopped


def _write_parts(collection: Collection, course: _Course, position: Position, stream: FileStream) -> Position | None:
    job, line, tally, file, opened = collection.job, course.line, course.tally, stream.file, position.files
    assert opened is not None  # noqa: S101  # as above
    limit = job.limits.member_bytes
    part = opened.part
    while part == 0 or stream.more:
        job.check()
        left = limit if file.size is None else min(limit, max(file.size - stream.offset, 0))
        if not collection.has_room_for(left):
            return replace(position, files=replace(opened, part=part, offset=stream.offset))
        if part == 0 and not stream.more and stream.gap is not None:
            return None  # not a single byte: a gap, and no empty file that looks like a recording
        before = stream.offset
        whole = part == 0 and (file.size is None or file.size <= limit)
        path = f"{line.exporter}/{line.dataset.name}/{file.name}" + ("" if whole else f".part-{part + 1:04}")
        _add_file(collection, course, path, stream)
        tally.bytes += stream.offset - before
        part += 1
    tally.files += stream.gap is None
    return None


def _add_file(collection: Collection, course: _Course, path: str, stream: FileStream) -> None:
    line, file, check = course.line, stream.file, collection.job.check
    text, begin = collection.job.screen.text_file(line.name, file.media_type), stream.offset

    def blocks() -> Iterator[bytes]:
        for block in stream.part(collection.job.limits.member_bytes):
            check()
            if text is not None:
                text.feed(block)
            yield block

    def content(sha256: str) -> Content:
        # Only after the last block is it known whether the file is whole.
        state: MemberState = "complete"
        if not stream.more:
            if begin == 0:
                stream.judge(sha256)
            state = "complete" if stream.gap is None else "truncated"
        return Content(line.exporter, line.dataset, file.media_type, file=file.name, state=state)

    collection.volume.add(path, blocks(), content, media_type=file.media_type)
    if text is not None:
        course.tally.findings += text.close()
