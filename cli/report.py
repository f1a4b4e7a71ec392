"""`portability report`: the figures of the privacy officer's report, by month and without any person."""

from __future__ import annotations

from collections.abc import Mapping

import click

from cli.context import Context, one_of, shared
from cli.harmless import emit
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.api.errors import BadInput
from portability.database.engine import reading
from portability.report import figures
from portability.report.disclosure import ReportPrecision
from portability.report.figures import Report
from portability.report.tables import FEW, ReportTable
from portability.requests.policy import Action


@click.command()
@click.option("--first", metavar="MONTH", help="First month, such as 2026-01; default: eleven before the last.")
@click.option("--last", metavar="MONTH", help="The last month; default: the present month.")
@click.option("--rounded", is_flag=True, help="Name no count of people below 5, and round the others: for publication.")
@click.option("--csv", "table", type=one_of(figures.TABLES), help="Print one table as CSV (RFC 4180).")
@AS
@shared
def report(
    context: Context, first: str | None, last: str | None, rounded: bool, table: str | None, claimed: str | None
) -> None:
    """Report requests, times to answer, refusals, breach clocks, consents, mandates, recipients and failing sources."""
    permit_any(context, claimed, Action.REQUESTS_READ)
    if table is not None and context.json:
        raise BadInput("--csv and --json exclude each other")
    precision = ReportPrecision.ROUNDED if rounded else ReportPrecision.EXACT
    with reading(context.engine) as connection:
        found = figures.report(connection, context.settings.place.zone, first, last, precision)
    if table is not None:
        emit(found.tables[table].csv(), ends_line=False)
        return
    context.result(found.to_json(), lambda: _show(context, found))


def _show(context: Context, found: Report) -> None:
    for name, table in found.tables.items():
        context.table(name.capitalize(), table.columns, [_cells(table, record) for record in table.records()])


def _cells(table: ReportTable, record: Mapping[str, JSON]) -> list[JSON]:
    """Return the cells of a row; a rounded report names no count of few."""
    few = {column for column in table.counts if not isinstance(record[column], int)}
    return [FEW if column in few else value for column, value in record.items()]
