"""`/staff/report`: the officer's report as a page that prints, and each of its tables as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from portability.api.errors import BadInput
from portability.database import deployment
from portability.law.citations import names_of_laws
from portability.law.regime import Regime
from portability.law.regimes import built_in, resolved
from portability.report import figures, period
from portability.report.disclosure import STEP, ReportPrecision
from portability.report.figures import Report
from portability.report.questions import AgreementStanding, RecallStanding, RequestStanding
from portability.report.tables import ReportTable
from portability.requests.policy import Action
from web import rendering
from web.auth import LoggedIn, permit
from web.charts import Chart, chart
from web.context import AppContext, CurrentContext

router = APIRouter(prefix="/staff/report", include_in_schema=False)

ReportMonth = Annotated[str, Query(max_length=20)]
Precision = Annotated[ReportPrecision, Query()]
_SERIES: Mapping[str, Sequence[str]] = {
    "accent": ("received", *figures.SHARES, "refusals", "access", RequestStanding.OPEN),
    "good": ("switch", RequestStanding.IN_TIME, RecallStanding.CLOSED_IN_TIME, AgreementStanding.IN_FORCE),
    "bad": ("copies_lacking", RequestStanding.LATE, RecallStanding.CLOSED_LATE),
    "warn": ("portability", RequestStanding.OVERDUE, AgreementStanding.WAITING),
    "soft": ("refused_transfers", RequestStanding.WITHDRAWN, AgreementStanding.ENDED),
    "ink": (RequestStanding.CLOSED, AgreementStanding.EXPIRED),
}
TONES: Mapping[str, str] = {str(series): tone for tone, names in _SERIES.items() for series in names}
"""The colour of each series; the same words have the same colour."""


@router.get("")
def show(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    first: ReportMonth = "",
    last: ReportMonth = "",
    counts: Precision = ReportPrecision.EXACT,
) -> Response:
    """Show the figures of a period: charts, each with a table of the same figures."""
    permit(place, login, Action.REQUESTS_READ)
    found, months = _report(place, first, last, counts)
    chosen = {"first": found.period.first, "last": found.period.last, "counts": str(counts)}
    return rendering.page(
        request,
        "report.html",
        report=found,
        tables=found.tables,
        charts_of=_charts(found),
        tones=TONES,
        groups=_groups(found.tables["answers"]),
        laws=names_of_laws({**built_in(), **_chosen(place)}, rendering.language(request)),
        regimes=[value for by, value in _labels(found.tables["answers"]) if by == "regime"],
        by_month=_by_month(found.tables["received"]),
        months=months,
        chosen=chosen,
        query=urlencode(chosen),
        precisions=[*ReportPrecision],
        step=STEP,
        parsed=datetime.fromisoformat,
    )


@router.get("/{table}.csv")
def table_csv(
    place: CurrentContext,
    login: LoggedIn,
    table: str,
    first: ReportMonth = "",
    last: ReportMonth = "",
    counts: Precision = ReportPrecision.EXACT,
) -> Response:
    """Return a table of the report."""
    permit(place, login, Action.REQUESTS_READ)
    found, _months = _report(place, first, last, counts)
    if table not in found.tables:
        raise BadInput(f"unknown table {table[:40]!r}: use one of {', '.join(found.tables)}")
    name = f"{table}-{found.period.first}-{found.period.last}-{counts}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(found.tables[table].csv(), 200, headers, "text/csv; charset=utf-8")


def _chosen(place: AppContext) -> Mapping[str, Regime]:
    """Return the regimes of the deployment, by name: they may be its own, and unknown to this software."""
    return {regime.name: regime for regime in map(resolved, place.settings.laws)}


def _report(place: AppContext, first: str, last: str, precision: ReportPrecision) -> tuple[Report, Sequence[str]]:
    """Return the report, and the months that a person can choose."""
    zone = place.settings.place.zone
    with place.reading() as connection:
        found = figures.report(connection, zone, first, last, precision)
        at = deployment.clock_of(connection)
    kept = min(place.settings.log_months + 1, period.MONTHS_MAX)
    return found, [*dict.fromkeys([*period.newest(kept, at, zone), found.period.last, found.period.first])]


def _charts(found: Report) -> Mapping[str, Any]:
    """Return the charts by name; `regimes` is a chart for each regime."""
    tables, months = found.tables, found.period.months
    received, answers = tables["received"], _records(tables["answers"], by="month")
    by_month: dict[tuple[str, str], list[int | None]] = {}
    for record in _records(received):
        by_month.setdefault((record["by"], record["value"]), []).append(record["received"])
    standings = {str(each): [record[each] for record in answers] for each in RequestStanding}
    times = {name: [record[name] or 0 for record in answers] for name in figures.SHARES}
    return {
        "profiles": chart(months, {value: n for (by, value), n in by_month.items() if by == "profile"}),
        "regimes": {value: chart(months, {"received": n}) for (by, value), n in by_month.items() if by == "regime"},
        "times": {name: chart(months, {name: values}) for name, values in times.items()},
        "standings": chart(months, standings),
        "refusals": _bars(tables["refusals"], "ground", ["refusals", "refused_transfers"]),
        "recalls": _bars(tables["recalls"], "regime", [*RecallStanding]),
        "agreements": _agreements(tables["agreements"]),
        "sources": _bars(tables["sources"], "source", ["copies_lacking"]),
    }


def _bars(table: ReportTable, label: str, series: Sequence[str]) -> Chart:
    records = _records(table)
    return chart([r[label] for r in records], {name: [record[name] for record in records] for name in series})


def _agreements(table: ReportTable) -> Chart:
    records = _records(table)
    kinds = [*dict.fromkeys(record["kind"] for record in records)]
    return chart(
        kinds,
        {str(each): [r["recorded_ever"] for r in records if r["standing"] == each] for each in AgreementStanding},
    )


def _by_month(table: ReportTable) -> Mapping[str, Mapping[tuple[str, str], int | None]]:
    """Return the requests of each month by group and value."""
    found: dict[str, dict[tuple[str, str], int | None]] = {}
    for record in _records(table):
        found.setdefault(record["month"], {})[record["by"], record["value"]] = record["received"]
    return found


def _groups(table: ReportTable) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the rows of a table by what they are grouped by."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for record in _records(table):
        found.setdefault(record["by"], []).append(record)
    return found


def _labels(table: ReportTable) -> Sequence[tuple[str, str]]:
    return [(record["by"], record["value"]) for record in _records(table)]


def _records(table: ReportTable, *, by: str | None = None) -> Sequence[Mapping[str, Any]]:
    return [record for record in table.records() if by is None or record["by"] == by]
