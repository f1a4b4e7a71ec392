"""Checks of an exporter that offers slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from portability.api import Batch, CountingExporter, Slice, SlicingExporter
from portability.api.errors import ExporterFault
from portability.api.ranges import WHOLE, chained
from portability.testing.reading import DatasetReading, reported, require, retried
from portability.testing.samples import other_subjects

MOST = (1, 2, 7)
"""The numbers of slices to request."""


def check_slices(read: DatasetReading, batches: Sequence[Batch]) -> None:
    """Check that the slices of a dataset together equal its batches. Raises AssertionError."""
    if not isinstance(read.exporter, SlicingExporter):
        return
    checked: set[Slice] = set()
    for n in MOST:
        slices = _offered(read.exporter, read, n)
        require(
            slices == _offered(read.exporter, read, n),
            f"{read.dataset.name}: slices() differs between two calls",
            "cut by the data alone",
        )
        if checked.issuperset(slices):
            continue  # a small dataset is offered in the same slices as for a smaller number
        pieces = [replace(read, selection=replace(read.selection, slice=one)) for one in slices]
        parts = [piece.batches() for piece in pieces]
        _check_union(f"{read.dataset.name} in {len(slices)} slices", read, batches, parts)
        for one, piece, part in zip(slices, pieces, parts, strict=True):
            if one not in checked:
                _check_piece(piece, part)
        checked.update(slices)


def _offered(exporter: SlicingExporter, read: DatasetReading, n: int) -> tuple[Slice, ...]:
    name = read.dataset.name
    try:
        slices = retried(name, partial(exporter.slices, read.subject, read.dataset, read.selection, n))
        return chained(name, slices, n, read.selection.slice or WHOLE)
    except ExporterFault as fault:
        raise AssertionError(str(fault)) from fault
    except Exception as error:
        raise AssertionError(f"{name}: slices() raises {type(error).__name__}") from error


def _check_union(name: str, read: DatasetReading, batches: Sequence[Batch], parts: Sequence[Sequence[Batch]]) -> None:
    whole, together = reported(batches), reported([batch for part in parts for batch in part])
    keys = [tuple(record[field] for field in read.dataset.key) for record in together[0]]
    require(len(set(keys)) == len(keys), f"{name}: a record is in two slices", "include `begin` and exclude `end`")
    require(len(keys) >= len(whole[0]), f"{name}: a record is in no slice", "include `begin` and exclude `end`")
    require(
        together == whole, f"{name}: the slices in order differ from the whole dataset", "cut in the order of reading"
    )


def _check_piece(piece: DatasetReading, part: Sequence[Batch]) -> None:
    name = f"{piece.dataset.name}, one slice"
    if part:
        rest = reported(piece.batches(part[0].cursor))
        require(
            rest == reported(part[1:]),
            f"{name}: reading after the cursor of its first batch gives different records",
            "apply both the cursor and the bounds of the slice",
        )
    if isinstance(piece.exporter, CountingExporter):
        counted = piece.exporter.count(piece.subject, piece.dataset, piece.selection).records
        yielded = sum(len(batch.records) for batch in part)
        require(
            counted == yielded,
            f"{name}: count() says {counted} records, but {yielded} were yielded",
            "count within the slice",
        )
    for kind, other in other_subjects(piece.subject):
        found = any(batch.records or batch.files for batch in replace(piece, subject=other).batches())
        require(not found, f"{name}: it yields data of a subject {kind}", "filter slices as the whole dataset")
