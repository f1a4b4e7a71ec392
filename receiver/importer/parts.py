"""Parts of other tenants' rows: by the belongings that also decide what an export contains (ADR 37)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, select

from exporters.reference.relations import RELATIONS
from exporters.sql.belonging import Belonging, ByParent


def parents(dataset: str) -> Iterator[tuple[ByParent, Belonging]]:
    """Yield the rules by which a row of `exporter/dataset` is a part of another row, with the belonging of that row."""
    for rule in RELATIONS.belongings[dataset].person:
        if isinstance(rule, ByParent) and rule.is_part:
            yield rule, RELATIONS.belongings[rule.dataset]


def parent_tables(dataset: str) -> Iterator[Table]:
    """Yield the tables that contain the parents of a dataset's rows."""
    yield from (parent.table for _rule, parent in parents(dataset))


def of_other_tenants(connection: Connection, dataset: str, rows: Collection[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the ids of rows whose parent is stored and names another tenant: an export leaves them out."""
    tenant = RELATIONS.belongings[dataset].tenant
    for rule, parent in parents(dataset):
        if tenant is None or parent.tenant is None:
            continue
        keys = {row[rule.column] for row in rows if row.get(rule.column) is not None}
        key, of = parent.table.c[rule.key], parent.table.c[parent.tenant]
        tenants = {row[0]: row[1] for row in connection.execute(select(key, of).where(key.in_(keys)))} if keys else {}
        yield from (row["id"] for row in rows if tenants.get(row.get(rule.column), row.get(tenant)) != row.get(tenant))
