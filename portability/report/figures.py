"""The report: its tables for a period, from the counts of a clock and the last checks of the sources."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from portability.api import JSON
from portability.api.times import rfc3339
from portability.coverage import state
from portability.database import deployment
from portability.law.profiles import Profile
from portability.report import counts, period
from portability.report.counts import ReportCounts
from portability.report.disclosure import ReportPrecision
from portability.report.period import ReportPeriod
from portability.report.questions import CLOCKS, AgreementKind, AgreementStanding, RecallStanding, RequestStanding
from portability.report.tables import ReportTable
from portability.requests.approvals import DenialBasis

TABLES = ("received", "answers", "requests", "refusals", "recalls", "agreements", "sources")
SHARES = {"median_seconds": 0.5, "percentile_95_seconds": 0.95}
"""Columns of times, and the share of the answers that took at most so long."""
STANDINGS = ("received", "answered", *map(str, RequestStanding))
"""Columns of requests: all, those with an answer, and by what has become of them."""
Group = tuple[str, str]
"""What requests are grouped by, and its value."""


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a period."""

    period: ReportPeriod
    precision: ReportPrecision
    at: datetime
    """Of the count of the figures."""
    time_zone: str
    tables: Mapping[str, ReportTable]
    """By name, those of TABLES."""

    def to_json(self) -> dict[str, JSON]:
        """Return everything as JSON."""
        tables: dict[str, JSON] = {name: [dict(row) for row in table.records()] for name, table in self.tables.items()}
        about: dict[str, JSON] = {"first": self.period.first, "last": self.period.last, "time_zone": self.time_zone}
        return {**about, "counts": str(self.precision), "counted_at": rfc3339(self.at), **tables}


def report(
    connection: Connection, zone: tzinfo, first: str | None, last: str | None, precision: ReportPrecision
) -> Report:
    """Return the report of a period.

    Args:
        connection: any transaction.
        zone: in which months begin.
        first: the first month, such as `2026-01`; None or empty: eleven months before the last.
        last: the last month; None or empty: the present month.
        precision: how exact the counts are.

    Raises: BadDate.
    """
    chosen = period.chosen(first, last, deployment.clock_of(connection), zone)
    found = counts.present(connection, zone)
    cells = _Cells(found, frozenset(chosen.months), precision)
    tables = {
        "received": _received(cells, chosen.months),
        "answers": _answers(cells, chosen.months),
        "requests": _requests(cells),
        "refusals": _refusals(cells),
        "recalls": _recalls(cells),
        "agreements": _agreements(cells),
        "sources": _sources(cells, connection),
    }
    return Report(chosen, precision, found.at, str(zone), tables)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Counts, the months of the report, and how exact it is."""

    counts: ReportCounts
    months: frozenset[str]
    precision: ReportPrecision

    def of(self, name: str, *, always: bool = False) -> Counter[tuple[Any, ...]]:
        """Return the numbers of a question by its labels: in the months of the report, or in all months."""
        found: Counter[tuple[Any, ...]] = Counter()
        for month, *labels, number in self.counts.rows[name]:
            if always or month in self.months:
                found[tuple(labels)] += number
        return found

    def stated(self, numbers: Iterable[int]) -> list[JSON]:
        return [self.precision.stated(number) for number in numbers]


def _received(cells: _Cells, months: Sequence[str]) -> ReportTable:
    """Requests by month: all, and by profile and by regime, with 0 where no request came."""
    found: Counter[tuple[str, ...]] = Counter()
    regimes = set()
    for month, profile, regime, _standing, number, _passed in cells.counts.rows["requests"]:
        if month in cells.months:
            regimes.add(regime)
            for group in (("all", ""), ("profile", profile), ("regime", regime)):
                found[month, *group] += number
    groups = [
        ("all", ""),
        *(("profile", str(each)) for each in Profile),
        *(("regime", each) for each in sorted(regimes)),
    ]
    rows = [[month, *group, *cells.stated([found[month, *group]])] for month in months for group in groups]
    return ReportTable(("month", "by", "value"), ("received",), (), rows)


def _requests(cells: _Cells) -> ReportTable:
    """Requests by month, profile and regime together, and by what has become of them."""
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for month, profile, regime, standing, number, _passed in cells.counts.rows["requests"]:
        if month in cells.months:
            found.setdefault((month, profile, regime), Counter())[standing] += number
    rows = [[*labels, *_standings(cells, by)] for labels, by in sorted(found.items())]
    return ReportTable(("month", "profile", "regime"), STANDINGS, (), rows)


def _answers(cells: _Cells, months: Sequence[str]) -> ReportTable:
    """Requests and times until the answer: all, and by month, profile and regime each."""
    standings: dict[Group, Counter[str]] = {("all", ""): Counter()}
    for name, values in (("month", months), ("profile", Profile)):
        standings |= {(name, str(value)): Counter() for value in values}
    times: dict[Group, Counter[str]] = {}
    for month, profile, regime, standing, number, passed in sorted(cells.counts.rows["requests"], key=_order):
        if month not in cells.months:
            continue
        for group in (("all", ""), ("month", month), ("profile", profile), ("regime", regime)):
            standings.setdefault(group, Counter())[standing] += number
            times.setdefault(group, Counter()).update(passed)
    rows = [
        [*group, *_standings(cells, by), *_times(cells, times.get(group, Counter()))] for group, by in standings.items()
    ]
    return ReportTable(("by", "value"), STANDINGS, tuple(SHARES), rows)


def _order(row: Sequence[Any]) -> tuple[str, str]:
    return str(row[2]), str(row[0])


def _standings(cells: _Cells, by: Counter[str]) -> list[JSON]:
    answered = by[RequestStanding.IN_TIME] + by[RequestStanding.LATE]
    return cells.stated((by.total(), answered, *(by[standing] for standing in RequestStanding)))


def _times(cells: _Cells, found: Counter[str]) -> list[JSON]:
    states, times = cells.precision.states_times(found.total()), {int(seconds): n for seconds, n in found.items()}
    return [percentile(times, share) if states else None for share in SHARES.values()]


def percentile(times: Mapping[int, int], share: float) -> int:
    """Return the shortest time within which at least this share of the answers came (nearest rank).

    Args:
        times: numbers of answers by seconds; at least one answer.
        share: from 0 to 1.
    """
    rank, passed = max(1, math.ceil(round(share * sum(times.values()), 6))), 0
    for seconds, number in sorted(times.items()):
        passed += number
        if passed >= rank:
            return seconds
    raise ValueError("a percentile needs at least one answer")


def _refusals(cells: _Cells) -> ReportTable:
    """Refused requests, and refused transfers of ready archives, by ground."""
    columns = ("refusals", "refused_transfers")
    found = {name: Counter({str(ground): 0 for ground in DenialBasis}) for name in columns}
    for name, by_ground in found.items():
        for (ground,), number in cells.of(name).items():
            by_ground[ground or DenialBasis.OTHER] += number
    grounds = dict.fromkeys(ground for by_ground in found.values() for ground in by_ground)
    rows = [[ground, *cells.stated(by_ground[ground] for by_ground in found.values())] for ground in grounds]
    return ReportTable(("ground",), columns, (), rows)


def _recalls(cells: _Cells) -> ReportTable:
    found = cells.of("recalls")
    rows = []
    for clock in CLOCKS:
        numbers = [found[clock, standing] for standing in RecallStanding]
        rows.append([clock, *cells.stated((sum(numbers), *numbers))])
    return ReportTable(("regime",), ("opened", *RecallStanding), (), rows)


def _agreements(cells: _Cells) -> ReportTable:
    """Consents, mandates and recipients by what has become of them: recorded in the period, and at any time."""
    recorded, ever = cells.of("agreements"), cells.of("agreements", always=True)
    exact = ReportPrecision.EXACT
    rows: list[list[JSON]] = []
    for kind in AgreementKind:
        # Recipients are companies.
        stated: Callable[[int], int | None] = (exact if kind is AgreementKind.RECIPIENT else cells.precision).stated
        rows += [[kind, each, stated(recorded[kind, each]), stated(ever[kind, each])] for each in AgreementStanding]
    return ReportTable(("kind", "standing"), ("recorded", "recorded_ever"), (), rows)


def _sources(cells: _Cells, connection: Connection) -> ReportTable:
    """Sources that were checked or lack something: copies that lack a part of it, and its last check."""
    lacking = {exporter: number for (exporter,), number in cells.of("lacking").items()}
    checks = {row["source"]: row for row in state.rows(connection)}
    rows: list[list[JSON]] = []
    for name in sorted({*lacking, *checks}):
        check = checks.get(name)
        about = ("error_code", "faults", "undecided")
        seen: list[JSON] = [check[each] for each in about] if check else [None, None, None]
        checked_at = rfc3339(check["checked_at"]) if check else None
        tenantless = state.tenantless(check) if check and check["checked_at"] else None
        rows.append([name, *cells.stated([lacking.get(name, 0)]), checked_at, *seen, tenantless])
    values = ("checked_at", "check_error", "check_faults", "undecided_columns", "tenantless_columns")
    return ReportTable(("source",), ("copies_lacking",), values, rows)
