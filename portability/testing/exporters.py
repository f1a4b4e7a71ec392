"""Checks of an exporter's contract."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial

from portability.api import (
    Batch,
    CheckingExporter,
    CountingExporter,
    Dataset,
    Exporter,
    Identity,
    JointlyCountingExporter,
    PreparedCount,
    ResolvingExporter,
    Selection,
    Size,
    Subject,
    SubjectKind,
)
from portability.api.rows import text
from portability.testing.declarations import check_coverage, check_shape
from portability.testing.files import check_files
from portability.testing.reading import DatasetReading, reported, require, retried
from portability.testing.samples import other_subjects
from portability.testing.slices import check_slices
from portability.testing.values import is_of

RESUMED_BATCHES = 20
BATCH_BYTES = 16 << 20
"""The host's limit of a batch in memory; a larger record must be a batch of its own."""
EVERYTHING = Selection()


def check_exporter(
    exporter: Exporter,
    subject: Subject,
    *,
    selection: Selection = EVERYTHING,
    held: Callable[[], int] | None = None,
) -> None:
    """Check that an exporter fulfils the contract of `portability.api.Exporter`, with the data of one subject.

    Args:
        exporter: the object that its factory returns.
        subject: a subject with records in at least one dataset, with all its identities.
        selection: which part of each dataset is read.
        held: returns the number of open resources, such as connections; it must be 0 after an early close.

    Raises:
        AssertionError: a rule is broken; the text names the dataset and the rule, and no values.
    """
    check_shape(exporter)
    records = 0
    for dataset in exporter.datasets:
        read = DatasetReading(exporter, subject, dataset, selection)
        batches = read.batches()
        if subject.kind not in (dataset.subject_kinds or exporter.subject_kinds):
            require(
                not batches,
                f"{dataset.name} does not apply to a {subject.kind}, but yields data",
                "compare subject.kind first",
            )
            continue
        _check_reading(read, batches, held)
        records += sum(len(batch.records) for batch in batches)
    require(
        records > 0,
        "the subject has no record in any dataset: nothing was checked",
        "give the subject all identities by which the exporter selects, and fill the source",
    )
    if isinstance(exporter, ResolvingExporter):
        _check_identities(exporter, subject)
    if isinstance(exporter, CheckingExporter):
        check_coverage(exporter)


def _check_reading(read: DatasetReading, batches: Sequence[Batch], held: Callable[[], int] | None) -> None:
    """Check a dataset of which all batches were read."""
    for batch in batches:
        _check_batch(read.dataset, batch)
    _check_unique(read.dataset, batches)
    _check_agreement(read, batches)
    _check_fewer_fields(read, batches)
    _check_close(read, held)
    _check_other_subjects(read)
    _check_count(read, batches)
    check_slices(read, batches)
    require(
        held is None or held() == 0,
        f"{read.dataset.name}: resources stay open after count() or slices()",
        "open connections in a `with` block",
    )


def _check_batch(dataset: Dataset, batch: Batch) -> None:
    declared = {field.name for field in dataset.fields}
    require(type(batch.cursor) is str, f"{dataset.name}: a cursor is not a text", "write the place as a str")
    require(
        all(gap.what and gap.reason for gap in batch.gaps),
        f"{dataset.name}: a gap has no `what` or no `reason`",
        "name what is missing by its id, and why by a code",
    )
    _check_gaps(dataset, batch)
    for record in batch.records:
        require(
            set(record) == declared,
            f"{dataset.name}: fields differ: {sorted(set(record) ^ declared)}",
            "yield exactly the declared fields, with None where the source has no value",
        )
        for field in dataset.fields:
            require(
                is_of(field.type, record[field.name]),
                f"{dataset.name}/{field.name}: a value is not of type {field.type}",
                "convert it as docs/plugins.md says for this type",
            )
    size = sum(len(text(record)) for record in batch.records)
    is_bounded = size <= BATCH_BYTES or len(batch.records) == 1
    require(
        is_bounded,
        f"{dataset.name}: a batch of several records has {size >> 20} MiB of JSON; the limit is 16",
        "read fewer rows",
    )
    check_files(dataset.name, batch.files)


def _check_gaps(dataset: Dataset, batch: Batch) -> None:
    """Check gaps that name their record: a retry looks for it, and delivers it again when the gap is gone."""
    records = {tuple(record.get(name) for name in dataset.key): record for record in batch.records}
    for gap in batch.gaps:
        fields = [field for field in dataset.fields if field.name in gap.fields]
        require(
            len(fields) == len(gap.fields),
            f"{dataset.name}: a gap names a field that is not declared",
            "name declared fields",
        )
        require(
            bool(gap.key) or not gap.fields,
            f"{dataset.name}: a gap names fields without the key of their record",
            "set `key` of the Gap",
        )
        if gap.key:
            record = records.get(gap.key)
            require(
                record is not None,
                f"{dataset.name}: a gap names a record that is not in its batch",
                "yield both in one batch",
            )
            values = [] if record is None else [record.get(field.name) for field in fields]
            require(
                values == [None] * len(fields),
                f"{dataset.name}: a gap names a field that has a value",
                "set the field to None",
            )


def _check_unique(dataset: Dataset, batches: Sequence[Batch]) -> None:
    keys = [tuple(record[name] for name in dataset.key) for batch in batches for record in batch.records]
    require(
        all(None not in key for key in keys),
        f"{dataset.name}: a part of a key is null",
        "choose fields that always have a value",
    )
    require(
        len(set(keys)) == len(keys),
        f"{dataset.name}: two records have the same key, or a record was yielded twice",
        "add a field to the key, or select each row once",
    )
    names = [file.name.casefold() for batch in batches for file in batch.files]
    require(
        len(set(names)) == len(names),
        f"{dataset.name}: two files have the same name",
        "put the id of the record into the name",
    )


def _check_agreement(read: DatasetReading, batches: Sequence[Batch]) -> None:
    name = read.dataset.name
    require(
        reported(read.batches()) == reported(batches),
        f"{name}: two runs differ",
        "read in a stable order, such as by the key",
    )
    for number in range(0, len(batches), max(1, len(batches) // RESUMED_BATCHES)):
        rest = reported(read.batches(batches[number].cursor))
        require(
            rest == reported(batches[number + 1 :]),
            f"{name}: reading after the cursor of batch {number} gives different records",
            "continue after the last record of that batch, in the same order",
        )


def _check_fewer_fields(read: DatasetReading, batches: Sequence[Batch]) -> None:
    # A profile may take fewer fields than are declared; the exporter may still yield all of them.
    kept = tuple(field for field in read.dataset.fields if field.name in read.dataset.key)
    narrowed = replace(read, dataset=replace(read.dataset, fields=kept)).batches()
    before = [[record[field.name] for field in kept] for batch in batches for record in batch.records]
    after = [[record.get(field.name) for field in kept] for batch in narrowed for record in batch.records]
    require(
        before == after,
        f"{read.dataset.name}: with fewer declared fields, it yields different records",
        "select rows by `dataset.name` alone",
    )


def _check_close(read: DatasetReading, held: Callable[[], int] | None) -> None:
    batches = retried(read.dataset.name, partial(_begun, read))
    batches.close()
    require(
        next(batches, None) is None,
        f"{read.dataset.name} yields more after it was closed",
        "do not catch GeneratorExit",
    )
    if held is not None:
        require(
            held() == 0,
            f"{read.dataset.name}: resources stay open after an early close",
            "open connections in a `with` block around each batch",
        )


def _begun(read: DatasetReading) -> Generator[Batch, None, None]:
    """Return a reading that has given its first batch."""
    batches = read.exporter.export(read.subject, read.dataset, read.selection)
    next(batches, None)
    return batches


def _check_other_subjects(read: DatasetReading) -> None:
    for name, other in other_subjects(read.subject):
        found = any(batch.records or batch.files for batch in replace(read, subject=other).batches())
        require(
            not found,
            f"{read.dataset.name}: it yields data of a subject {name}",
            "filter every query by tenant and by `subject.verified(...)`",
        )


def _check_count(read: DatasetReading, batches: Sequence[Batch]) -> None:
    if isinstance(read.exporter, CountingExporter):
        count = partial(read.exporter.count, read.subject, read.dataset, read.selection)
        counted = retried(f"{read.dataset.name}: count()", count).records
        yielded = sum(len(batch.records) for batch in batches)
        require(
            counted == yielded,
            f"{read.dataset.name}: count() says {counted} records, but {yielded} were yielded",
            "count with the filter that export() uses",
        )
    if isinstance(read.exporter, JointlyCountingExporter):
        prepared = read.exporter.prepared_count(read.subject, read.dataset, read.selection)
        together = retried(f"{read.dataset.name}: prepared_count()", partial(_twice, prepared)) if prepared else []
        require(
            {size.records for size in together} <= {sum(len(batch.records) for batch in batches)},
            f"{read.dataset.name}: its prepared count differs from the records that were yielded",
            "give each count the size of its own dataset, in the order of the counts",
        )


def _twice(count: PreparedCount) -> Sequence[Size]:
    counts = [count, count]
    sizes = count.together(counts)
    require(len(sizes) == len(counts), f"two counts have {len(sizes)} sizes", "give each count one size")
    return sizes


def _check_identities(exporter: ResolvingExporter, subject: Subject) -> None:
    found: Sequence[object] = retried("identities()", lambda: exporter.identities(subject))
    require(
        all(isinstance(identity, Identity) for identity in found),
        "identities() returns objects that are not Identity",
        "return a tuple of portability.api.Identity",
    )
    again = retried("identities()", lambda: exporter.identities(subject))
    require(list(found) == list(again), "identities() differs between two calls", "order the rows that it reads")
    if subject.kind is SubjectKind.CONTACT:
        at_home = all(identity.tenant == subject.tenant for identity in again)
        require(at_home, "identities() returns a contact of another tenant", "filter by `subject.tenant`")
    for name, other in other_subjects(subject):
        found_other = retried("identities()", partial(exporter.identities, other))
        require(
            not found_other,
            f"identities() returns identities of a subject {name}",
            "look up by verified identities, and compare the answer",
        )
