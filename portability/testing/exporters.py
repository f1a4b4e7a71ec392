"""The promises of an exporter, asked one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

from portability.api import (
    Batch,
    CountingExporter,
    Dataset,
    Exporter,
    Identity,
    ResolvingExporter,
    Selection,
    Subject,
    SubjectKind,
)
from portability.plugins import REDACTABLE
from portability.testing.files import check_files
from portability.testing.reading import Reading, require, told
from portability.testing.samples import strangers
from portability.testing.slices import check_slices
from portability.testing.values import is_of

RESUMED_BATCHES = 20
EVERYTHING = Selection()


def check_exporter(
    exporter: Exporter,
    subject: Subject,
    *,
    selection: Selection = EVERYTHING,
    held: Callable[[], int] | None = None,
) -> None:
    """Hold an exporter to the promises of `portability.api.Exporter`, with the data of one subject.

    Args:
        exporter: as its factory returns it.
        subject: one that has records in at least one dataset, with all its identities.
        selection: which part of each dataset is read.
        held: counts what the exporter holds open, connections for example; it must be 0 after an early close.

    Raises:
        AssertionError: a promise is broken; the text names the dataset and the promise, and no values.
    """
    check_shape(exporter)
    records = 0
    for dataset in exporter.datasets:
        read = Reading(exporter, subject, dataset, selection)
        batches = read.batches()
        if subject.kind not in (dataset.subject_kinds or exporter.subject_kinds):
            require(not batches, f"{dataset.name} is not for a {subject.kind}, and yields something")
            continue
        for batch in batches:
            _check_batch(dataset, batch)
        _check_unique(dataset, batches)
        _check_agreement(read, batches)
        _check_fewer_fields(read, batches)
        _check_close(read, held)
        _check_strangers(read)
        _check_count(read, batches)
        check_slices(read, batches)
        require(held is None or held() == 0, f"{dataset.name}: counted or cut into slices, it holds something open")
        records += sum(len(batch.records) for batch in batches)
    require(records > 0, "the subject has no record in any dataset: nothing was checked")
    if isinstance(exporter, ResolvingExporter):
        _check_identities(exporter, subject)


def check_shape(exporter: object) -> None:
    """Whether it has the members of the protocol, and its datasets are well declared. Raises AssertionError."""
    if not isinstance(exporter, Exporter):
        raise AssertionError(f"{type(exporter).__name__} lacks a member of the protocol Exporter")  # noqa: TRY004  # a promise
    require(inspect.isgeneratorfunction(exporter.export), "export() is not a generator function")
    kinds = exporter.subject_kinds
    require(len(kinds) > 0 and kinds <= frozenset(SubjectKind), "subject_kinds is empty or holds something else")
    require(list(exporter.datasets) == list(exporter.datasets), "datasets differ from one look to the next")
    names = [dataset.name for dataset in exporter.datasets]
    require(0 < len(names) == len(set(names)), "there is no dataset, or two have one name")
    for dataset in exporter.datasets:
        _check_dataset(exporter, dataset)


def _check_dataset(exporter: Exporter, dataset: Dataset) -> None:
    name, fields = dataset.name, [field.name for field in dataset.fields]
    require(0 < len(fields) == len(set(fields)), f"{name} has no fields, or one twice")
    require(bool(dataset.key) and set(dataset.key) <= set(fields), f"{name}: its key is not among its fields")
    require(bool(dataset.title and dataset.description), f"{name} has no title or no description")
    require((dataset.subject_kinds or frozenset()) <= exporter.subject_kinds, f"{name} is for more than its exporter")
    for field in dataset.fields:
        require(bool(field.description.strip()), f"{name}/{field.name} has no description")
        tells = field.person is not None
        require(not tells or field.type in REDACTABLE, f"{name}/{field.name}: only text and objects tell of a person")
        require(not tells or field.name not in dataset.key, f"{name}/{field.name}: a key tells of a person")


def _check_batch(dataset: Dataset, batch: Batch) -> None:
    declared = {field.name for field in dataset.fields}
    require(type(batch.cursor) is str, f"{dataset.name}: a cursor is not text")
    require(all(gap.what and gap.reason for gap in batch.gaps), f"{dataset.name}: a gap does not say what or why")
    for record in batch.records:
        require(set(record) == declared, f"{dataset.name}: fields differ: {sorted(set(record) ^ declared)}")
        for field in dataset.fields:
            require(is_of(field.type, record[field.name]), f"{dataset.name}/{field.name}: a value is no {field.type}")
    check_files(dataset.name, batch.files)


def _check_unique(dataset: Dataset, batches: Sequence[Batch]) -> None:
    keys = [tuple(record[name] for name in dataset.key) for batch in batches for record in batch.records]
    require(all(None not in key for key in keys), f"{dataset.name}: a key is null")
    require(len(set(keys)) == len(keys), f"{dataset.name}: two records have one key, or one record came twice")
    names = [file.name.casefold() for batch in batches for file in batch.files]
    require(len(set(names)) == len(names), f"{dataset.name}: two files have one name")


def _check_agreement(read: Reading, batches: Sequence[Batch]) -> None:
    name = read.dataset.name
    require(told(read.batches()) == told(batches), f"{name}: two runs differ")
    for number in range(0, len(batches), max(1, len(batches) // RESUMED_BATCHES)):
        rest = told(read.batches(batches[number].cursor))
        require(rest == told(batches[number + 1 :]), f"{name}: after the cursor of batch {number} the rest differs")


def _check_fewer_fields(read: Reading, batches: Sequence[Batch]) -> None:
    # A profile may take fewer fields than are declared: the exporter may still yield all of them.
    kept = tuple(field for field in read.dataset.fields if field.name in read.dataset.key)
    narrowed = replace(read, dataset=replace(read.dataset, fields=kept)).batches()
    before = [[record[field.name] for field in kept] for batch in batches for record in batch.records]
    after = [[record.get(field.name) for field in kept] for batch in narrowed for record in batch.records]
    require(before == after, f"{read.dataset.name}: asked for fewer fields, it yields other records")


def _check_close(read: Reading, held: Callable[[], int] | None) -> None:
    batches = read.exporter.export(read.subject, read.dataset, read.selection)
    next(batches, None)
    batches.close()
    require(next(batches, None) is None, f"{read.dataset.name} goes on after it was closed")
    if held is not None:
        require(held() == 0, f"{read.dataset.name}: closed early, it holds something open")


def _check_strangers(read: Reading) -> None:
    for name, stranger in strangers(read.subject):
        found = any(batch.records or batch.files for batch in replace(read, subject=stranger).batches())
        require(not found, f"{read.dataset.name}: a subject {name} gets something")


def _check_count(read: Reading, batches: Sequence[Batch]) -> None:
    if isinstance(read.exporter, CountingExporter):
        counted = read.exporter.count(read.subject, read.dataset, read.selection).records
        yielded = sum(len(batch.records) for batch in batches)
        require(counted == yielded, f"{read.dataset.name}: counts {counted} records and yields {yielded}")


def _check_identities(exporter: ResolvingExporter, subject: Subject) -> None:
    found: Sequence[object] = exporter.identities(subject)
    require(all(isinstance(identity, Identity) for identity in found), "identities() gives something else")
    require(list(found) == list(exporter.identities(subject)), "identities() differs from one look to the next")
    if subject.kind is SubjectKind.CONTACT:
        at_home = all(identity.tenant == subject.tenant for identity in exporter.identities(subject))
        require(at_home, "identities() finds a contact at another tenant")
    for name, stranger in strangers(subject):
        require(not exporter.identities(stranger), f"identities() of a subject {name} finds something")
