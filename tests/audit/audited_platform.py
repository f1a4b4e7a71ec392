"""The whole platform: all rows, and the places where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from audit.account_holders import account_rows
from audit.companies import company_rows
from audit.customers import MISSING_FILES, customer_rows
from audit.source_database import write_files, write_postgresql, write_sqlite
from audit.source_rows import SourceRow

ROWS: Mapping[str, SourceRow] = {
    made.identifier: made for make in (company_rows, account_rows, customer_rows) for made in make()
}
"""Every row by its id."""


def write(database: str, place: str, recordings: Path) -> None:
    """Write rows and files. `place` is a file for sqlite and a URL for postgresql."""
    if database == "sqlite":
        write_sqlite(Path(place), ROWS.values())
    else:
        write_postgresql(place, ROWS.values())
    write_files(recordings, [row for row in ROWS.values() if row.identifier not in MISSING_FILES])
