"""Corrections: records that are delivered again, whole, in place of earlier records with the same key (ADR 36)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from portability.api import JSON, Batch, Dataset, Record, encoded
from portability.api.errors import FormatError
from worker.read.screening.values import Counts
from worker.write import disclosures, documents
from worker.write.open_volume import DatasetRun, SliceJob
from worker.write.pieces import DatasetPiece
from worker.write.record_members import write_members
from worker.write.shards import ShardCutter

Key: TypeAlias = tuple[JSON, ...]
"""Values of a dataset's key fields, in their order."""


def key_of(dataset: Dataset, record: Record) -> Key:
    """Return the key of a record."""
    values = (record.get(name) for name in dataset.key)
    return tuple(value if isinstance(value, str | int | float | None) else str(value) for value in values)


def write(
    run: DatasetRun, records: Mapping[Key, Record], lacking: Mapping[Key, frozenset[str]], *, delivered: int
) -> Mapping[Key, Record]:
    """Write the records that lacked values in these fields; returns those that are written, as they are delivered now.

    `delivered` records were delivered before: if there are more, the others are new. A record that a format cannot
    represent is left out. Raises: VolumeFull before anything is written; ScanBlocked.
    """
    job, dataset = run.volume.job, run.line.dataset
    before, earlier = _delivered(job, dataset, [_without(records[key], lacking[key], dataset) for key in lacking])
    found, counts = _delivered(job, dataset, [records[key] for key in lacking])
    made = {key: record for key, record in zip(lacking, found, strict=True) if _is_writable(job, dataset, record)}
    if not made:
        return {}
    piece = _piece(job, dataset, [*made.values()], run.shard_cutter())
    run.volume.require_room(piece.members)
    new = max(0, len(made) - delivered)
    replaced = [record for key, record in zip(lacking, before, strict=True) if key in made]
    write_members(run, piece, f"-{run.reading.label}-correction", corrects=True, new=new, earlier=replaced)
    # The other values of these records were counted when they were first delivered.
    run.tally.redactions += counts.masked - earlier.masked
    run.tally.findings += counts.reported - earlier.reported
    _count_recipients(run, made, lacking)
    return made


def _count_recipients(run: DatasetRun, made: Mapping[Key, Record], lacking: Mapping[Key, frozenset[str]]) -> None:
    """Count the recipients in records whose recipient was missing; it is unknown of a record that lacked any field."""
    dataset = run.line.dataset
    named = None if dataset.disclosures is None else dataset.disclosures.recipient
    whole = {field.name for field in dataset.fields}
    for key, record in made.items():
        if named in lacking[key]:
            known = lacking[key] >= whole
            run.tally.recipients.add(disclosures.recipients(dataset, [record], known=known))


def _without(record: Record, fields: frozenset[str], dataset: Dataset) -> Record:
    return {name: value if name not in fields or name in dataset.key else None for name, value in record.items()}


def _delivered(job: SliceJob, dataset: Dataset, records: list[Record]) -> tuple[list[Record], Counts]:
    """Return the records with other people's details redacted and findings masked."""
    batch, redactions = job.redact(dataset, Batch(tuple(records), ""))
    counts = Counts(masked=Counter(redactions))
    return list(job.screen.records(dataset, batch.records, counts)), counts


def _is_writable(job: SliceJob, dataset: Dataset, record: Record) -> bool:
    if dataset.documents:
        made, reason = documents.of_record(dataset, record, job.document_formats)
        return bool(made) and reason is None
    try:
        for form in job.formats.values():
            for _block in encoded(form, dataset, [record]):
                pass
    except FormatError:
        return False
    return True


def _piece(job: SliceJob, dataset: Dataset, records: list[Record], shards: ShardCutter | None) -> DatasetPiece:
    """Make the members of these records: a table for each format, or a document of each record."""
    bodies, made = {}, []
    batches = () if dataset.documents else (records,)
    if dataset.documents:
        made = [one for record in records for one in documents.of_record(dataset, record, job.document_formats)[0]]
    else:
        bodies = {name: list(encoded(form, dataset, records)) for name, form in job.formats.items()}
        if shards:
            shards.write(records)
            shards.close()
    return DatasetPiece(
        *(len(records), bodies, None, None, (), ()), batches=batches, head=records, documents=made, shards=shards
    )
