"""What an export says about the coverage of its sources: decided when it is planned, as gaps of its datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from portability.api import COVERAGE_UNDECIDED, COVERAGE_UNKNOWN, CoverageFinding, CoverageKind, Gap
from portability.api.coverage import UNDECIDED
from portability.requests.states import DatasetState
from worker.plan.plan import ExportPlan, PlanLine

TENANTLESS = "rows without a tenant"


@dataclass(frozen=True, slots=True)
class PlannedCoverage:
    """The coverage of one source when an export was planned; stored with the export as JSON."""

    source: str
    state: str
    """`CoverageState`."""
    checked_at: str | None = None
    """When it was checked, as RFC 3339 in UTC; None: the source cannot be checked."""
    undecided: int = 0
    """Columns about which no decision has been made."""
    datasets: Mapping[str, int] = field(default_factory=dict)
    """How many of them are in the table of a dataset, by its name."""
    tables: int = 0
    """Tables of the others, which no dataset reads."""
    error: str | None = None
    """The code of the error by which the check failed."""
    tenantless: Mapping[str, int] = field(default_factory=dict)
    """Of the undecided columns those by which rows name no tenant, by dataset; empty name: of no single dataset."""

    @classmethod
    def of(
        cls, source: str, state: str, checked_at: str | None, undecided: int, findings: Iterable[CoverageFinding]
    ) -> PlannedCoverage:
        """Make it from the findings of a check, which counted `undecided` columns."""
        datasets: Counter[str] = Counter()
        tenantless: Counter[str] = Counter()
        tables: set[str] = set()
        for one in findings:
            if one.kind in UNDECIDED and one.dataset:
                datasets[one.dataset] += one.columns
            elif one.kind in UNDECIDED - {CoverageKind.TENANTLESS}:
                tables.add(one.table)
            if one.kind is CoverageKind.TENANTLESS:
                tenantless[one.dataset] += one.columns
        return cls(source, state, checked_at, undecided, dict(datasets), len(tables), tenantless=dict(tenantless))

    @property
    def elsewhere(self) -> int:
        """Return the undecided columns that are in the table of no dataset."""
        return self.undecided - sum(self.datasets.values()) - self.tenantless.get("", 0)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON for the row; workers of an earlier release do not know `tenantless`."""
        return {name: value for name, value in asdict(self).items() if value or name != "tenantless"}


def gaps(plan: ExportPlan, coverages: Iterable[PlannedCoverage]) -> Mapping[int, tuple[Gap, ...]]:
    """Return the gaps of each line, by its ordinal: of its own table, and with the first line of a source the rest."""
    found: dict[int, tuple[Gap, ...]] = {}
    for coverage in coverages:
        of_source = [
            (ordinal, line)
            for ordinal, line in enumerate(plan.lines)
            if line.exporter == coverage.source and line.state is DatasetState.PENDING
        ]
        for number, (ordinal, line) in enumerate(of_source):
            made = _own(coverage, line)
            if number == 0:
                made += _rest(coverage)
            if made:
                found[ordinal] = tuple(made)
    return found


def _own(coverage: PlannedCoverage, line: PlanLine) -> list[Gap]:
    """Return the gaps of a dataset's own table: columns, and rows without a tenant."""
    rows = coverage.tenantless.get(line.dataset.name, 0)
    columns = coverage.datasets.get(line.dataset.name, 0) - rows
    made = [Gap(f"{line.name}: {_columns(columns)}", COVERAGE_UNDECIDED)] if columns else []
    return [*made, *([Gap(f"{line.name}: {TENANTLESS}", COVERAGE_UNDECIDED)] if rows else [])]


def _rest(coverage: PlannedCoverage) -> list[Gap]:
    """Return the gaps of what is in no dataset."""
    if coverage.error is not None:
        return [Gap(f"{coverage.source}: not checked ({coverage.error})", COVERAGE_UNKNOWN)]
    what = f"{coverage.source}: {_columns(coverage.elsewhere)} in {coverage.tables} other tables"
    made = [Gap(what, COVERAGE_UNDECIDED)] if coverage.elsewhere else []
    rows = coverage.tenantless.get("", 0)
    return [*made, *([Gap(f"{coverage.source}: {TENANTLESS}", COVERAGE_UNDECIDED)] if rows else [])]


def _columns(count: int) -> str:
    return f"{count} undecided column{'' if count == 1 else 's'}"
