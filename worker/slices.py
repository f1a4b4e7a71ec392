"""Slices of a ledger line: how many, and whether those that its exporter offers can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from portability.api import Exporter, Selection, Slice, SlicingExporter
from portability.errors import ExporterFault, SourceError
from portability.ranges import WHOLE, chained
from worker.plan import Line

RECORD_BYTES = 500
"""About what a record takes in an archive, before anything of it was read."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Slices to read a line in: its exporter's own, or the whole in one."""

    slices: tuple[Slice, ...]
    fault: SourceError | None = None
    """Why it is the whole: ExporterFault for a broken promise, the source's own fault, None where nobody cuts."""


def how_many(records: int | None, file_bytes: int | None, *, slice_bytes: int, slices_max: int) -> int:
    """Into how many slices a line of this expected size is cut: 1 below `slice_bytes`, or where nobody can tell."""
    if records is None:
        return 1
    expected_bytes = records * RECORD_BYTES + max(file_bytes or 0, 0)
    return max(1, min(expected_bytes // slice_bytes, slices_max, records))


def offered(exporter: Exporter, line: Line, selection: Selection, n: int) -> Offer:
    """At most `n` slices that chain; whatever goes wrong, the line can be read in one, and the offer says why."""
    whole = selection.slice or WHOLE
    if n <= 1 or not isinstance(exporter, SlicingExporter):
        return Offer((whole,))
    try:
        slices = exporter.slices(line.subject, line.dataset, selection, n)
        return Offer(chained(line.name, slices, n, whole))
    except SourceError as fault:
        return Offer((whole,), fault)
    except Exception as error:  # noqa: BLE001  # a stranger's may be anything, and its message too: its type is told
        return Offer((whole,), ExporterFault(f"{line.name}: slices() raised {type(error).__name__}"))
