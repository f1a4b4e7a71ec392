"""Reading again for a retry of gaps: a gap is closed only when what was missing is written.

A record that lacked a value or a file is delivered again as a correction, which replaces the earlier record. Gaps whose
value is still missing, whose record is gone, or whose source fails again stay as they are (ADR 36).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from portability.api import NEEDS_REVIEW, File, Gap, Record
from portability.api.errors import SourceError
from worker.plan.position import Missed, OpenFiles, Reading
from worker.read.screening.values import Counts
from worker.write import corrections
from worker.write.corrections import Key, key_of
from worker.write.file_members import closed, write_files
from worker.write.open_volume import DatasetRun
from worker.write.pieces import Shortfall

GapRow: TypeAlias = Mapping[Any, Any]


@dataclass(slots=True)
class BatchAgain:
    """A batch that was read again, and what followed if the source now cuts its batches elsewhere."""

    records: dict[Key, Record] = field(default_factory=dict, repr=False)
    """Records by key; only the wanted records if there are wanted keys."""
    files: list[File] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    ends_alike: bool = False
    """Whether it ended at the same cursor as when it was first read."""
    fault: SourceError | None = None

    @property
    def reported(self) -> frozenset[str]:
        """Return what the source reports as missing."""
        return frozenset(gap.what for gap in self.gaps)


def note_gaps(run: DatasetRun, short: Shortfall) -> None:
    """Add what a batch reports as missing, each with the reading that could fill it."""
    opened = OpenFiles(short.cursor, records=short.records)
    for gap in short.gaps:
        if gap.reason == NEEDS_REVIEW:
            run.add_review(gap)
            continue
        missed = Missed(whole=False) if gap.key else Missed(but=short.files)
        run.add_gap(gap, short.before, opened, missed)


def read_batch(
    run: DatasetRun, opened: OpenFiles, *, keys: Collection[Key] | None = None, names: Collection[str] | None = None
) -> BatchAgain:
    """Read the batch after the volume's position again, until it ends or all wanted keys and names are found.

    None: all records, or all files. A source may cut its batches elsewhere now: then it ends after more records than
    the batch had. Names of files are masked as when its records were written; they are already counted.
    """
    again, count = BatchAgain(), 0
    wanted_keys, wanted_names = set(keys or ()), set(names or ())
    end = run.volume.job.open_cursor(opened.resume)
    with closing(run.reader()) as reader:
        while (batch := reader.next()) is not None:
            run.volume.job.check()
            batch = run.volume.job.screen.named(batch, Counts())
            count += len(batch.records)
            found = {key_of(run.line.dataset, record): record for record in batch.records} if keys != () else {}
            again.records |= found if keys is None else {key: found[key] for key in wanted_keys & found.keys()}
            again.files += batch.files
            again.gaps += batch.gaps
            again.ends_alike = batch.cursor == end
            wanted_keys -= found.keys()
            wanted_names -= {file.name for file in batch.files}
            is_all = keys is not None and names is not None and not wanted_keys and not wanted_names
            if again.ends_alike or is_all or not opened.records or count > opened.records:
                break
        again.fault = reader.fault
    return again


def fill_gaps(run: DatasetRun) -> None:
    """Read what the gaps of a retry lack. Raises: VolumeFull, with the volume's position where to continue."""
    reading, opened = run.reading, run.volume.position.files
    if opened is None or (opened.wanted is None and not run.to_fill):
        return
    if opened.wanted is not None:
        again = read_batch(run, opened, keys=(), names=opened.wanted)
    else:
        again = _read_gaps(run, opened)
    if again.fault is not None:
        run.volume.job.report_gap(run.line, again.fault.code, str(again.fault))
        return
    if opened.wanted is None:
        opened = replace(opened, wanted=_deliver(run, opened, again))
        run.go_to(reading.after, opened)
    write_files(run, reading.after, opened, again.files)
    for gap in run.to_fill:
        if _is_rest_of_files(gap):
            run.fill(gap)


def _read_gaps(run: DatasetRun, opened: OpenFiles) -> BatchAgain:
    """Read until everything is found that the gaps name; to the end of the batch if a gap names no record."""
    rows = run.to_fill
    if any(_is_whole(gap) or _is_rest_of_files(gap) for gap in rows):
        return read_batch(run, opened)
    keys = [key for gap in rows if (key := _key(run, gap)) is not None]
    return read_batch(run, opened, keys=keys or (), names=[name for gap in rows for name in _missed(gap).only])


def _deliver(run: DatasetRun, opened: OpenFiles, again: BatchAgain) -> tuple[str, ...]:
    """Write corrections for the gaps that the source no longer has; returns the names of the files to fetch."""
    mended = [gap for gap in run.to_fill if _is_mended(run, gap, again)]
    whole = [gap for gap in run.to_fill if _is_whole(gap)] if again.ends_alike else []
    gone = [gap for gap in whole if gap["what"] not in again.reported]
    lacking = _lacking(run, mended)
    every_field = frozenset(named.name for named in run.line.dataset.fields)
    all_lacking = {**dict.fromkeys(again.records if gone else (), every_field), **lacking}
    known = opened.records if gone else len(all_lacking)
    delivered = corrections.write(run, again.records, all_lacking, delivered=known)
    for gap in mended:
        if _key(run, gap) in delivered:
            run.fill(gap)
    if delivered.keys() >= again.records.keys():
        for gap in gone:
            run.fill(gap)
    named = {*_files_named(delivered, lacking), *(name for gap in run.to_fill for name in _missed(gap).only)}
    new = {file.name for gap in whole for file in again.files if file.name not in (_missed(gap).but or ())}
    _report_again(run, opened, again, delivered, whole)
    is_all = any(_is_rest_of_files(gap) for gap in run.to_fill)
    return tuple(file.name for file in again.files if is_all or file.name in named | new)


def _is_mended(run: DatasetRun, row: GapRow, again: BatchAgain) -> bool:
    """Return whether the source gives the record of this gap, and no longer reports that something of it is missing."""
    key = _key(run, row)
    fields = set(row["fields"] or ())
    still = (gap for gap in again.gaps if gap.key == key and (gap.what == row["what"] or fields & set(gap.fields)))
    return key in again.records and next(still, None) is None


def _lacking(run: DatasetRun, rows: Sequence[GapRow]) -> Mapping[Key, frozenset[str]]:
    """Return the fields that lacked a value, by the records' keys; all fields of a record whose gap names none."""
    every_field = [named.name for named in run.line.dataset.fields]
    found: dict[Key, frozenset[str]] = {}
    for row in rows:
        if (key := _key(run, row)) is not None:
            found[key] = found.get(key, frozenset()) | frozenset(row["fields"] or every_field)
    return found


def _files_named(delivered: Mapping[Key, Record], lacking: Mapping[Key, frozenset[str]]) -> Iterator[str]:
    """Yield the texts of corrected records in the fields that lacked a value: one of them may name a file."""
    for key, fields in lacking.items():
        values = (value for name, value in delivered.get(key, {}).items() if name in fields)
        yield from (value for value in values if isinstance(value, str))


def _report_again(
    run: DatasetRun, opened: OpenFiles, again: BatchAgain, delivered: Collection[Key], whole: Sequence[GapRow]
) -> None:
    """Add gaps that are new in corrected records, and those without a record that the source reports now.

    Gaps without a record name the files of the batch: with other files now, they are replaced.
    """
    names = tuple(file.name for file in again.files)
    for row in whole:
        if row["what"] in again.reported and set(_missed(row).but or ()) != set(names):
            run.fill(row)
    known = {row["what"] for row in run.to_fill}
    for gap in again.gaps:
        if (gap.key in delivered if gap.key else bool(whole)) and gap.what not in known:
            missed = Missed(whole=False) if gap.key else Missed(but=names)
            run.add_gap(gap, run.reading.after, closed(opened), missed)


def _missed(row: GapRow) -> Missed:
    return Reading.from_json(row["resume"]).missed or Missed()


def _key(run: DatasetRun, row: GapRow) -> Key | None:
    """Return the key of the record that a gap names."""
    record = row["record"]
    return None if record is None else tuple(record.get(name) for name in run.line.dataset.key)


def _is_whole(row: GapRow) -> bool:
    missed = _missed(row)
    return row["record"] is None and missed.whole and not missed.only


def _is_rest_of_files(row: GapRow) -> bool:
    missed = _missed(row)
    return row["record"] is None and not missed.whole and not missed.only
