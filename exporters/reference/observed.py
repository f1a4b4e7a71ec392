"""Datasets that the platform records automatically while an account holder uses it."""

from __future__ import annotations

from sqlalchemy import Table

from exporters.reference import row_filters
from exporters.reference.fields import CREATED_AT, ID, USER_ID
from exporters.reference.retention import ACCOUNT
from exporters.sql.source import Named, RowRetention, TableSource, table_source
from portability.api import DisclosureFields, Provenance, Role


def observed(
    exporter: str,
    table: Table,
    name: str,
    title: str,
    description: str,
    *columns: Named,
    retention: RowRetention | None = ACCOUNT,
    disclosures: DisclosureFields | None = None,
) -> TableSource:
    """Return a source for a user's own rows of a table with `id`, `user_id` and `created_at`, as a controller."""
    return table_source(
        *(table, name, title, description),
        *(ID, USER_ID, *columns, CREATED_AT),
        provenance=Provenance.OBSERVED,
        role=Role.CONTROLLER,
        kinds=row_filters.USERS,
        where=row_filters.rows(f"{exporter}/{name}"),
        retention=retention,
        disclosures=disclosures,
    )
