"""Finds out the coverage of the sources that an export reads: from the last check, else by a check now."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import structlog
from sqlalchemy import Engine

from portability.api import Exporter
from portability.api.times import rfc3339
from portability.coverage import checks, state
from portability.coverage.state import CoverageState
from portability.database import deployment
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


def check_source(engine: Engine, exporters: Mapping[str, Exporter], name: str, patience: SourcePatience) -> str | None:
    """Check one source and store the result; returns the code of the error if it cannot be checked now.

    Raises: DatabaseUnavailable.
    """
    began_at = deployment.clock(engine)
    answer = patience.once(name, partial(checks.check, name, exporters))
    with writing(engine) as connection:
        if answer.error is None:
            state.record(connection, name, answer.get(), began_at)
        else:
            state.record_fault(connection, name, source_fault(name, answer.error).code)
    if answer.error is not None:
        code = source_fault(name, answer.error).code
        log.warning("coverage.not_checked", exporter=name, code=code)
        return code
    found = answer.get().coverage
    if found.undecided or found.faults:
        log.warning("coverage.undecided", exporter=name, columns=found.undecided, faults=found.faults)
    return None


def _of_source(context: WorkerContext, name: str, patience: SourcePatience) -> PlannedCoverage:
    exporter = context.exporters[name]
    answer = patience.once(name, partial(checks.declaration, exporter))
    if answer.error:
        fault = source_fault(name, answer.error)
        log.warning("coverage.not_checked", exporter=name, code=fault.code)
        return PlannedCoverage(name, CoverageState.UNKNOWN, error=fault.code)
    declared = answer.get()
    if declared is checks.NOT_CHECKED:
        return PlannedCoverage(name, CoverageState.UNKNOWN)
    with reading(context.engine) as connection:
        row = state.find(connection, name)
        is_valid = state.is_valid(connection, row, declared.sha256)
    if not is_valid:
        code = check_source(context.engine, context.exporters, name, patience)
        if code is not None:
            # Where a check could list a part only, its failure hides no more than its success would.
            return PlannedCoverage(name, CoverageState.UNKNOWN, error=code if declared.lists_all else None)
        with reading(context.engine) as connection:
            row = state.find(connection, name)
    if row is None:
        return PlannedCoverage(name, CoverageState.UNKNOWN)
    at, undecided = rfc3339(row["checked_at"]), int(row["undecided"] or 0)
    return PlannedCoverage.of(name, state.state_of(row), at, undecided, state.findings(row))
