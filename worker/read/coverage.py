"""Finds out the coverage of the sources that an export reads: from the last check, else by a check now."""

from __future__ import annotations

from functools import partial

import structlog

from portability.api.times import rfc3339
from portability.coverage import checks, state
from portability.coverage.state import CoverageState
from portability.database.engine import reading, writing
from portability.requests.states import DatasetState
from portability.sources import declared_names
from worker.context import WorkerContext
from worker.plan.coverage import PlannedCoverage
from worker.plan.plan import ExportPlan
from worker.read.reader import SourcePatience, source_fault

log = structlog.get_logger()


def of_plan(context: WorkerContext, plan: ExportPlan, patience: SourcePatience) -> tuple[PlannedCoverage, ...]:
    """Return the coverage of each declared source that the plan reads. Raises DatabaseUnavailable."""
    declared = {*declared_names(context.settings)}
    names = dict.fromkeys(line.exporter for line in plan.lines if line.state is DatasetState.PENDING)
    return tuple(_of_source(context, name, patience) for name in names if name in declared)


def _of_source(context: WorkerContext, name: str, patience: SourcePatience) -> PlannedCoverage:
    if not checks.is_checked(context.exporters[name]):
        return PlannedCoverage(name, CoverageState.UNKNOWN)
    declaration = patience.once(name, partial(checks.declaration, context.exporters[name]))
    with reading(context.engine) as connection:
        row = state.find(connection, name)
        is_valid = declaration.error is None and state.is_valid(connection, row, declaration.get().sha256)
    if not is_valid:
        answer = patience.once(name, partial(checks.check, name, context.exporters))
        if answer.error is not None:
            fault = source_fault(name, answer.error)
            log.warning("coverage.not_checked", exporter=name, code=fault.code)
            with writing(context.engine) as connection:
                state.record_fault(connection, name, fault.code)
            return PlannedCoverage(name, CoverageState.UNKNOWN, error=fault.code)
        with writing(context.engine) as connection:
            state.record(connection, name, answer.get())
            row = state.find(connection, name)
    if row is None:
        return PlannedCoverage(name, CoverageState.UNKNOWN)
    at, undecided = rfc3339(row["checked_at"]), int(row["undecided"] or 0)
    return PlannedCoverage.of(name, state.state_of(row), at, undecided, state.findings(row))
