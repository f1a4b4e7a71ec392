"""Division: how much data an export expects, and which slice reads what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from portability.api import Slice
from portability.api.errors import ExporterFault
from portability.api.ranges import WHOLE
from portability.database import incidents
from portability.database.incidents import Incident
from portability.requests.states import DatasetState
from worker.context import WorkerContext
from worker.plan.plan import PlanLine
from worker.plan.position import Reading
from worker.plan.slicing import RECORD_BYTES, SliceOffer, how_many, offered
from worker.read import counts
from worker.read.counts import Expected
from worker.read.reader import source_fault
from worker.write.open_volume import SliceJob

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Division:
    """The readings of each slice."""

    expected: Sequence[Expected]
    own: Sequence[Reading]
    """The readings of slice 0: every dataset that is not cut."""
    cut: Sequence[Reading]
    """The readings of one more slice each."""


def divide(context: WorkerContext, unplanned: SliceJob, by_keys: Collection[tuple[str, str]] = frozenset()) -> Division:
    """Count the expected data, and cut datasets that are large enough; those that are read `by_keys` are small."""
    made, selection, patience = unplanned.plan, unplanned.selection, unplanned.patience
    own: list[Reading] = []
    cut: list[Reading] = []
    expected: list[Expected] = []
    together = _counted_together(context, unplanned, by_keys)
    for ordinal, line in enumerate(made.lines):
        if not _is_counted(unplanned, line, by_keys):
            expected.append(Expected())
            own += [Reading(ordinal)] if line.state is DatasetState.PENDING else []
            continue
        if ordinal in together:
            expected.append(together[ordinal])
        else:
            call = partial(counts.expect, context.exporters[line.exporter], line, selection)
            counted = patience.once(line.name, call)
            # Counting is optional, whatever it raises, even SystemExit: reading will report the fault.
            expected.append(Expected() if counted.error else counted.get())
        if line.state is DatasetState.PENDING:
            parts = _parts(context, line, unplanned, expected[-1])
            if len(parts) == 1:
                own.append(Reading(ordinal))
            else:
                cut += [Reading(ordinal, part, f"s{number:02}") for number, part in enumerate(parts, 1)]
    return Division(expected, own, cut)


def _counted_together(
    context: WorkerContext, unplanned: SliceJob, by_keys: Collection[tuple[str, str]]
) -> Mapping[int, Expected]:
    """Count people's datasets by one request to each source. What is missing in the answer is counted alone."""
    lines = {
        ordinal: line
        for ordinal, line in enumerate(unplanned.plan.lines)
        if line.state is DatasetState.PENDING and _is_counted(unplanned, line, by_keys)
    }
    call = partial(counts.expect_together, context.exporters, lines, unplanned.selection)
    counted = unplanned.patience.once("counts", call)
    return {} if counted.error else counted.get()


def _is_counted(unplanned: SliceJob, line: PlanLine, by_keys: Collection[tuple[str, str]]) -> bool:
    """Return whether a line is counted and may be cut: nothing of unresolved exporters is read now."""
    is_unresolved = line.exporter in unplanned.unresolved.get(line.exporter, {})
    return not is_unresolved and (line.exporter, line.dataset.name) not in by_keys


def _parts(context: WorkerContext, line: PlanLine, unplanned: SliceJob, expected: Expected) -> Sequence[Slice]:
    settings, exporter, selection = context.settings, context.exporters[line.exporter], unplanned.selection
    n = how_many(expected.records, expected.bytes, slice_bytes=settings.slice_bytes, slices_max=settings.slices_max)
    if n == 1:
        return (WHOLE,)
    answer = unplanned.patience.once(line.name, partial(offered, exporter, line, selection, n))
    offer = SliceOffer((WHOLE,), source_fault(line.name, answer.error)) if answer.error else answer.get()
    if offer.fault is not None:
        log.warning("slices.refused", exporter=line.exporter, dataset=line.dataset.name, code=offer.fault.code)
    if isinstance(offer.fault, ExporterFault):
        incidents.count(context.engine, Incident.OVERLAPPING_SLICES)
    return offer.slices


def is_large(context: WorkerContext, division: Division) -> bool:
    """Return whether several volumes are expected, as far as known."""
    known = sum((one.records or 0) * RECORD_BYTES + (one.bytes or 0) for one in division.expected)
    return bool(division.cut) or known > context.settings.volume_bytes


def may_take_long(context: WorkerContext, division: Division) -> bool:
    """Return whether the reading may take hours: several volumes are expected, or a number of records is unknown."""
    return is_large(context, division) or any(one.records is None for one in division.expected)
