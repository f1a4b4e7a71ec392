"""Slices of a ledger line: how many, and whether the slices that its exporter offers are valid."""

from __future__ import annotations

from dataclasses import dataclass

from portability.api import Exporter, Selection, Slice, SlicingExporter
from portability.api.errors import ExporterFault, SourceError
from portability.api.ranges import WHOLE, chained
from worker.plan.plan import PlanLine

RECORD_BYTES = 500
"""The assumed size of a record in an archive, before anything was read."""


@dataclass(frozen=True, slots=True)
class SliceOffer:
    """Slices to read a line in: the exporter's, or one for the whole line."""

    slices: tuple[Slice, ...]
    fault: SourceError | None = None
    """Why the line is not cut: ExporterFault for a contract violation, the source's fault, None if it needs no cut."""


def how_many(records: int | None, file_bytes: int | None, *, slice_bytes: int, slices_max: int) -> int:
    """Return the number of slices for a line of this expected size: 1 below `slice_bytes`, or if it is unknown."""
    if records is None:
        return 1
    expected_bytes = records * RECORD_BYTES + max(file_bytes or 0, 0)
    return max(1, min(expected_bytes // slice_bytes, slices_max, records))


def offered(exporter: Exporter, line: PlanLine, selection: Selection, n: int) -> SliceOffer:
    """Return at most `n` valid slices; after any fault, one slice for the whole line, with the fault."""
    whole = selection.slice or WHOLE
    if n <= 1 or not isinstance(exporter, SlicingExporter):
        return SliceOffer((whole,))
    try:
        slices = exporter.slices(line.subject, line.dataset, selection, n)
        return SliceOffer(chained(line.name, slices, n, whole))
    except SourceError as fault:
        return SliceOffer((whole,), fault)
    except Exception as error:  # noqa: BLE001  # third-party code: only the error's type is reported
        return SliceOffer((whole,), ExporterFault(f"{line.name}: slices() raised {type(error).__name__}"))
