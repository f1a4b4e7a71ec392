"""File members: the files of one batch, after its records; a large file is split into parts, over several volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from archive.parts import Content, MemberState
from portability.api import Cursor, File, Gap
from portability.api.errors import ExporterFault, SourceStalled
from worker.plan.position import Missed, OpenFiles, Reading, version_of
from worker.read.batch_validation import free_name
from worker.read.files import CHANGED, FileStream, streams
from worker.write.ledger import Missing
from worker.write.open_volume import DatasetRun

MISSING = "missing"
"""The reason of a gap if the source no longer has a file."""
STALLS_MAX = 3
"""After this number of stalled files in a row, no more files of the dataset are read in this volume."""


def write_files(run: DatasetRun, before: Cursor | None, opened: OpenFiles, found: Sequence[File]) -> None:
    """Write the wanted files of a batch after the last one written; `before` is the cursor for reading it again.

    A wanted file that the source no longer has is a gap. Raises: VolumeFull, with the volume's position at the part
    that does not fit.
    """
    by_name = {file.name: file for file in found}
    names = tuple(by_name) if opened.wanted is None else opened.wanted
    names = names[names.index(opened.last) + 1 :] if opened.last in names else names
    if names and names[0] not in by_name:
        opened = replace(opened, part=0, offset=0, version="")
    job, files = run.volume.job, [by_name[name] for name in names if name in by_name]
    file_streams = streams(files, run.line.dataset.name, opened.offset, job.limits.member_bytes, job.patience)
    with ExitStack() as opening:
        for stream in file_streams:
            opening.callback(stream.close)
        following = iter(file_streams)
        for name in names:
            if name in by_name:
                _write_file(run, before, opened, next(following))
            else:
                _note_gone(run, before, opened, name)
            opened = opened.behind(name)


def closed(opened: OpenFiles) -> OpenFiles:
    """Return the batch alone, without a place among its files: what its gaps record."""
    return OpenFiles(opened.resume, records=opened.records)


def _note_gone(run: DatasetRun, before: Cursor | None, opened: OpenFiles, name: str) -> None:
    _fill(run, name)
    gap = Gap(f"{run.line.dataset.name}/{name}", MISSING)
    run.add_gap(gap, before, closed(opened), Missed((name,), whole=False))
    run.go_to(before, opened.behind(name))


def _write_file(run: DatasetRun, before: Cursor | None, opened: OpenFiles, stream: FileStream) -> None:
    gap: Gap | None = Gap(stream.what, SourceStalled.code, SourceStalled.retryable)
    if not opened.is_of(stream.file):
        # The parts in earlier volumes are of another version: both together would be a file that never was.
        gap = Gap(stream.what, CHANGED, retryable=True)
        run.volume.job.report_gap(run.line, CHANGED, "a file is of another version than its parts in earlier volumes")
    elif run.tally.stalls < STALLS_MAX:
        with closing(stream):
            _write_parts(run, before, opened, stream)
        is_stalled = stream.gap is not None and stream.gap.reason == SourceStalled.code
        run.tally.stalls = run.tally.stalls + 1 if is_stalled else 0
        if (gap := stream.gap) is not None:
            run.volume.job.report_gap(run.line, gap.reason, "a file could not be read to its end")
    _fill(run, stream.file.name)
    if gap is not None:
        run.add_gap(gap, before, closed(opened), Missed((stream.file.name,), whole=False))
    elif run.volume.changes is not None:
        run.volume.changes.keep_file(run.line.exporter, run.line.dataset, stream.file)


def _fill(run: DatasetRun, name: str) -> None:
    """Close the gaps of a file: it is written, or what it lacks now is a new gap."""
    for gap in run.to_fill:
        missed = Reading.from_json(gap["resume"]).missed
        if missed is not None and name in missed.only:
            run.fill(gap)


def _write_parts(run: DatasetRun, before: Cursor | None, opened: OpenFiles, stream: FileStream) -> None:
    job, line, file = run.volume.job, run.line, stream.file
    limit, part = job.limits.member_bytes, opened.part
    name = _name_apart(run, file.name) if part == 0 else file.name
    while part == 0 or stream.more:
        job.check()
        version = version_of(file) if stream.offset else ""
        run.go_to(before, replace(opened, part=part, offset=stream.offset, version=version))
        left = limit if file.size is None else min(limit, max(file.size - stream.offset, 0))
        run.volume.require_room(len(job.formats), left)
        if part == 0 and not stream.more and stream.gap is not None:
            return  # without any byte it is only a gap, not an empty file
        offset = stream.offset
        whole = part == 0 and (file.size is None or file.size <= limit)
        path = f"{line.exporter}/{line.dataset.name}/{name}" + ("" if whole else f".part-{part + 1:04}")
        _add_part(run, path, name, stream)
        run.tally.bytes += stream.offset - offset
        part += 1
    run.tally.files += stream.gap is None
    run.volume.file_names[run.reading.ordinal].add(name)
    if name != file.name:
        # It cannot be said which of both a record names. No retry changes that: the exporter breaks its contract.
        job.report_gap(line, ExporterFault.code, "two files have the same name")
        run.tally.gaps.append(Missing(Gap(f"{line.dataset.name}/{name}", ExporterFault.code)))


def _name_apart(run: DatasetRun, name: str) -> str:
    """Return the name of a file; another one if an earlier batch of this volume had a file of this name."""
    return free_name(name, run.volume.file_names[run.reading.ordinal])


def _add_part(run: DatasetRun, path: str, name: str, stream: FileStream) -> None:
    job, line, file = run.volume.job, run.line, stream.file
    text, begin = job.screen.text_file(line.name, file.media_type), stream.offset

    def blocks() -> Iterator[bytes]:
        for block in stream.part(job.limits.member_bytes):
            job.check()
            if text is not None:
                text.feed(block)
            yield block

    def content(sha256: str) -> Content:
        # Only after the last block it is known whether the file is complete.
        state: MemberState = "complete"
        if not stream.more:
            if begin == 0:
                stream.judge(sha256)
            state = "complete" if stream.gap is None else "truncated"
        return Content(line.exporter, line.dataset, file.media_type, file=name, state=state)

    run.volume.output.add(path, blocks(), content, media_type=file.media_type)
    if text is not None:
        run.tally.findings += text.close()
