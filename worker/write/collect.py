"""Collect: the slice's readings, one after the other, into the open volume until it is full or all is read.

Only in `fill` a full volume ends the reading: what does not fit raises VolumeFull, and the volume's position is
already there.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace

from portability.api import NEEDS_REVIEW, Gap
from portability.requests.states import DatasetState
from portability.tracing import traces
from worker.plan.position import Missed, OpenFiles, Position, Reading
from worker.read.reader import Reader
from worker.write import documents, pieces, read_again
from worker.write.file_members import write_files
from worker.write.ledger import LedgerTally, Missing
from worker.write.open_volume import DatasetRun, OpenVolume, VolumeFull
from worker.write.pieces import DatasetPiece
from worker.write.record_members import write_members
from worker.write.unresolved import with_known_identities

WITHDRAWN = "instruction_withdrawn"
"""The reason of a gap: a tenant withdrew its instruction while the export was running."""


def fill(volume: OpenVolume) -> None:
    """Read from the volume's position and write, until the volume is full or the slice is read."""
    job = volume.job
    with suppress(VolumeFull):
        while not volume.is_read:
            reading = job.readings[volume.position.reading]
            line, tally = job.line(reading, reading.without), volume.tallies.setdefault(reading.ordinal, LedgerTally())
            run = DatasetRun(volume, reading, line, tally, reading.without)
            if reading.reviewed is not None and job.is_review_lost:
                _leave_open(run)
                continue
            if line.state is DatasetState.PENDING:
                with traces.span("read", ends_with=VolumeFull, dataset=line.name):
                    _read(run)
            if line.state is DatasetState.PENDING or line.withdrawn:
                _end(run)
            volume.position = Position(volume.position.reading + 1)


def _leave_open(run: DatasetRun) -> None:
    """End a reading after reviews without filling its gaps: only a new export can tell what it would have missed."""
    run.volume.job.report_gap(run.line, NEEDS_REVIEW, "records were reviewed while it failed")
    run.tally.ended, run.tally.ended_at = run.tally.ended + 1, run.volume.job.present()
    run.volume.position = Position(run.volume.position.reading + 1)


def _read(run: DatasetRun) -> None:
    """Write the rest of a reading: first the files of a batch that an earlier volume began, then the records."""
    position, reading = run.volume.position, run.reading
    if is_first := position == Position(position.reading):
        run.tally.began_at = run.tally.began_at or run.volume.job.present()
        run.go_to(reading.after, reading.files)
    known = with_known_identities(run, is_first=is_first)
    if known is not None:
        _read_on(known)


def _note_undecided(run: DatasetRun) -> None:
    """Add the gaps of what no one has decided on, once a line: at the end of the reading of its beginning."""
    if run.reading.is_beginning:
        for gap in run.volume.job.undecided.get(run.reading.ordinal, ()):
            run.volume.job.report_gap(run.line, gap.reason, gap.what)
            run.tally.gaps.append(Missing(gap))


def _read_on(run: DatasetRun) -> None:
    if run.reading.missed is not None:
        read_again.fill_gaps(run)
        return
    opened = run.volume.position.files
    if opened is not None:
        _resume_files(run, opened)
        run.go_to(opened.resume)
    _read_records(run)


def _end(run: DatasetRun) -> None:
    line, tally = run.line, run.tally
    tally.ended += 1
    tally.ended_at = run.volume.job.present()
    _note_undecided(run)
    if run.reading.missed is not None:
        return  # each of its gaps is closed when what was missing is written
    if line.withdrawn and run.reading.beyond:
        # Only now it is known that these tenants have data. If nothing was read, an instruction may still come.
        resume = None if line.state is DatasetState.PENDING else replace(run.reading, label="", gaps=())
        what = f"{line.name}: what {', '.join(line.withdrawn)} has not ordered the export of"
        tally.gaps.append(Missing(Gap(what, DatasetState.NEEDS_INSTRUCTION), resume))
    elif line.withdrawn:
        what = f"{line.name}: what was not read yet when {', '.join(line.withdrawn)} withdrew its instruction"
        tally.gaps.append(Missing(Gap(what, WITHDRAWN)))
    tally.filled.extend(run.reading.gaps)


def _resume_files(run: DatasetRun, opened: OpenFiles) -> None:
    """Read the batch again whose records are already written, and continue with its files."""
    before = run.volume.position.after
    again = read_again.read_batch(run, opened, names=opened.wanted)
    if again.fault is None:
        write_files(run, before, opened, again.files)
        return
    run.volume.job.report_gap(run.line, again.fault.code, str(again.fault))
    gap = Gap(f"{run.line.name}: files after {opened.last or 'the first'}", again.fault.code, again.fault.retryable)
    run.add_gap(gap, before, opened, Missed(but=(), whole=False))


def _read_records(run: DatasetRun) -> None:
    """Write records piece by piece, each with the files of its last batch; a fault of the source ends them early."""
    volume, job = run.volume, run.volume.job
    with closing(run.reader()) as reader:
        while not reader.ended:
            job.check()
            volume.require_room(len(job.formats))
            piece = _read_piece(run, reader)
            volume.require_room(piece.members)
            _write_piece(run, piece, last=reader.ended)
            if piece.files and piece.cursor is not None:
                names = tuple(file.name for file in piece.files)
                opened = OpenFiles(piece.cursor, records=piece.last_records, wanted=names)
                write_files(run, piece.before, opened, piece.files)
                run.go_to(piece.cursor)
            del piece  # frees its bytes before the next piece is read
    if reader.fault is not None:
        run.tally.reason = reader.fault.code
        job.report_gap(run.line, reader.fault.code, str(reader.fault))
        what = f"{run.line.name}: the rest of its records"
        run.add_gap(Gap(what, reader.fault.code, reader.fault.retryable), volume.position.after)


def _read_piece(run: DatasetRun, reader: Reader) -> DatasetPiece:
    job, dataset = run.volume.job, run.line.dataset
    if dataset.documents:
        return documents.read(reader, dataset, job.document_formats, job.screen, job.redact, choose=run.choose)
    return pieces.read(
        *(reader, dataset, job.formats, job.limits.piece_bytes, job.screen, job.redact),
        keep=bool(run.volume.forms),
        choose=run.choose,
        shards=run.shard_cutter(),
    )


def _write_piece(run: DatasetRun, piece: DatasetPiece, *, last: bool) -> None:
    """Count a piece, write its members, and move the position behind it."""
    volume, tally = run.volume, run.tally
    for short in piece.shortfalls:
        read_again.note_gaps(run, short)
    tally.gaps.extend(Missing(gap) for gap in piece.lost)
    tally.redactions += piece.redactions
    tally.findings += piece.findings
    tally.remarks.update(piece.remarks)
    tally.withheld.update(piece.withheld)
    tally.recipients.add(piece.recipients)
    if piece.records:
        number = volume.position.piece
        write_members(run, piece, _piece_name(run.reading, number, last=last))
        volume.position = replace(volume.position, piece=number + 1)
    _note_delivered(run, piece)
    run.go_to(piece.cursor)


def _note_delivered(run: DatasetRun, piece: DatasetPiece) -> None:
    """Keep what a feed has delivered with a piece."""
    changes, line = run.volume.changes, run.line
    if changes is None:
        return
    if piece.unsure is not None:
        # What is written comes again, because not all that was chosen is written.
        changes.drop()
        for records in piece.unsure:
            changes.note(line.exporter, line.dataset, records)
    changes.keep()


def _piece_name(reading: Reading, piece: int, *, last: bool) -> str:
    """Return the part after the dataset's name. A dataset in a single piece needs no number."""
    if reading.label:
        return f"-{reading.label}-{piece + 1:04}"
    return "" if last and piece == 0 else f"-{piece + 1:04}"
