"""The promises of an exporter that offers slices, asked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portability.api import Batch, CountingExporter, Slice, SlicingExporter
from portability.errors import ExporterFault
from portability.ranges import WHOLE, chained
from portability.testing.reading import Reading, require, told
from portability.testing.samples import strangers

MOST = (1, 2, 7)
"""How many slices are asked for."""


def check_slices(read: Reading, batches: Sequence[Batch]) -> None:
    """Whether a dataset in slices is the dataset, whose batches are given. Raises AssertionError."""
    if not isinstance(read.exporter, SlicingExporter):
        return
    for n in MOST:
        slices = _offered(read.exporter, read, n)
        require(slices == _offered(read.exporter, read, n), f"{read.dataset.name}: its slices differ from look to look")
        pieces = [replace(read, selection=replace(read.selection, slice=one)) for one in slices]
        parts = [piece.batches() for piece in pieces]
        _check_union(f"{read.dataset.name} in {len(slices)} slices", read, batches, parts)
        for piece, part in zip(pieces, parts, strict=True):
            _check_piece(piece, part)


def _offered(exporter: SlicingExporter, read: Reading, n: int) -> tuple[Slice, ...]:
    name = read.dataset.name
    try:
        slices = exporter.slices(read.subject, read.dataset, read.selection, n)
        return chained(name, slices, n, read.selection.slice or WHOLE)
    except ExporterFault as fault:
        raise AssertionError(str(fault)) from fault
    except Exception as error:
        raise AssertionError(f"{name}: slices() raises {type(error).__name__}") from error


def _check_union(name: str, read: Reading, batches: Sequence[Batch], parts: Sequence[Sequence[Batch]]) -> None:
    whole, together = told(batches), told([batch for part in parts for batch in part])
    keys = [tuple(record[field] for field in read.dataset.key) for record in together[0]]
    require(len(set(keys)) == len(keys), f"{name}: a record is in two of them")
    require(len(keys) >= len(whole[0]), f"{name}: a record is in none of them")
    require(together == whole, f"{name}: one after the other they differ from the whole")


def _check_piece(piece: Reading, part: Sequence[Batch]) -> None:
    name = f"{piece.dataset.name}, a slice of it"
    if part:
        rest = told(piece.batches(part[0].cursor))
        require(rest == told(part[1:]), f"{name}: after the cursor of its first batch the rest differs")
    if isinstance(piece.exporter, CountingExporter):
        counted = piece.exporter.count(piece.subject, piece.dataset, piece.selection).records
        yielded = sum(len(batch.records) for batch in part)
        require(counted == yielded, f"{name}: counts {counted} records and yields {yielded}")
    for kind, stranger in strangers(piece.subject):
        found = any(batch.records or batch.files for batch in replace(piece, subject=stranger).batches())
        require(not found, f"{name}: a subject {kind} gets something")
