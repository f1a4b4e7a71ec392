"""Tables of a report: the same rows for pages, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from portability.api import JSON
from portability.report.disclosure import STEP
from portability.requests.request_log import csv_cell

FEW = f"<{STEP}"
"""In CSV a count of people that a rounded report does not name; in JSON it is null."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table: names of columns, and rows."""

    labels: Sequence[str]
    """Columns that say what a row is about."""
    counts: Sequence[str]
    """Columns of counts of people or of their requests; None: few."""
    values: Sequence[str]
    """Further columns; None: there is no value."""
    rows: Sequence[Sequence[JSON]]

    @property
    def columns(self) -> Sequence[str]:
        """Return the names of all columns, in the order of the cells."""
        return [str(name) for name in (*self.labels, *self.counts, *self.values)]

    def records(self) -> Iterator[Mapping[str, JSON]]:
        """Yield the rows by column."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def csv(self) -> str:
        """Write the table as CSV (RFC 4180) with a header line; no cell is interpreted as a formula."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(self.columns)
        for record in self.records():
            few = {name for name in self.counts if record[name] is None}
            writer.writerow(FEW if name in few else csv_cell(value) for name, value in record.items())
        return text.getvalue()
