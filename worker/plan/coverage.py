"""What an export says about the coverage of its sources: decided when it is planned, as gaps of its datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from portability.api import COVERAGE_UNDECIDED, COVERAGE_UNKNOWN, CoverageFinding, Gap
from portability.api.coverage import UNDECIDED
from portability.requests.states import DatasetState
from worker.plan.plan import ExportPlan


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

    @classmethod
    def of(
        cls, source: str, state: str, checked_at: str | None, undecided: int, findings: Iterable[CoverageFinding]
    ) -> PlannedCoverage:
        """Make it from the findings of a check, which counted `undecided` columns."""
        datasets: Counter[str] = Counter()
        tables: set[str] = set()
        for one in findings:
            if one.kind in UNDECIDED and one.dataset:
                datasets[one.dataset] += one.columns
            elif one.kind in UNDECIDED:
                tables.add(one.table)
        return cls(source, state, checked_at, undecided, dict(datasets), len(tables))

    @property
    def elsewhere(self) -> int:
        """Return the undecided columns that are in the table of no dataset."""
        return self.undecided - sum(self.datasets.values())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON for the row."""
        return asdict(self)


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
            own = coverage.datasets.get(line.dataset.name, 0)
            made = [Gap(f"{line.name}: {_columns(own)}", COVERAGE_UNDECIDED)] if own else []
            if number == 0:
                made += _rest(coverage)
            if made:
                found[ordinal] = tuple(made)
    return found


def _rest(coverage: PlannedCoverage) -> list[Gap]:
    """Return the gap of what is in no dataset."""
    if coverage.error is not None:
        return [Gap(f"{coverage.source}: not checked ({coverage.error})", COVERAGE_UNKNOWN)]
    if not coverage.elsewhere:
        return []
    what = f"{coverage.source}: {_columns(coverage.elsewhere)} in {coverage.tables} other tables"
    return [Gap(what, COVERAGE_UNDECIDED)]


def _columns(count: int) -> str:
    return f"{count} undecided column{'' if count == 1 else 's'}"
