"""How many records an export expects: counting is optional, and reading reports the faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import NamedTuple

from portability.api import (
    CountingExporter,
    Exporter,
    JointlyCountingExporter,
    PreparedCount,
    Selection,
    Size,
)
from portability.requests.states import DatasetState
from worker.plan.plan import PlanLine

COUNT_MAX = 2**53
"""The largest number that counts records or bytes."""


class Expected(NamedTuple):
    """What a line is expected to contain; None: unknown."""

    records: int | None = None
    bytes: int | None = None
    unrelated: int | None = None
    """A tenant's records that lead to no person."""


def expect(exporter: Exporter, line: PlanLine, selection: Selection) -> Expected:
    """Return the expected (records, bytes), None if the exporter cannot count or fails: counting is optional."""
    if line.state is not DatasetState.PENDING:
        return Expected(0, 0)
    if not isinstance(exporter, CountingExporter):
        return Expected()
    try:
        return _expected(exporter.count(line.subject, line.dataset, selection))
    except Exception:  # noqa: BLE001  # counting is optional; reading will report the fault
        return Expected()


def expect_together(
    exporters: Mapping[str, Exporter], lines: Mapping[int, PlanLine], selection: Selection
) -> Mapping[int, Expected]:
    """Count those of the lines that their sources count together, by ordinal; what fails is left out."""
    prepared: dict[Hashable, dict[int, PreparedCount]] = defaultdict(dict)
    for ordinal, line in lines.items():
        exporter = exporters[line.exporter]
        if isinstance(exporter, JointlyCountingExporter):
            with suppress(Exception):
                if count := exporter.prepared_count(line.subject, line.dataset, selection):
                    prepared[count.asked_of][ordinal] = count
    expected: dict[int, Expected] = {}
    for counts in prepared.values():
        first, *_ = of_source = list(counts.values())
        with suppress(Exception):
            sizes = [_expected(size) for size in first.together(of_source)]
            expected |= dict(zip(counts, sizes, strict=True))
    return expected


def _expected(size: Size) -> Expected:
    """Return a count as the ledger can store it. Raises ValueError for numbers that count nothing."""
    stated = (n and int(n) for n in (size.bytes, size.unrelated))
    found = Expected(int(size.records), *stated)
    if any(n and not 0 < n <= COUNT_MAX for n in found):
        raise ValueError
    return found
