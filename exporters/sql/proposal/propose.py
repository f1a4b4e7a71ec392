"""Reads a catalogue and proposes a map for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sqlalchemy import Connection

from exporters.sql import catalogue
from exporters.sql.catalogue import Catalogue
from exporters.sql.proposal import paths
from exporters.sql.proposal.draft import Proposal
from portability.api import SubjectKind
from portability.api.errors import BadInput

SUGGESTED = 3
"""Similar names that an error lists."""


def propose(
    connection: Connection,
    subject_table: str,
    *,
    key: str | None = None,
    kind: SubjectKind = SubjectKind.USER,
    tenant: str | None = None,
    schemas: Iterable[str] = (),
    title: str = "",
) -> Proposal:
    """Propose a map of a database.

    Args:
        connection: to the database; only its catalogue is read.
        subject_table: the table of the people, `table` or `schema.table`.
        key: the column of that table by which others name a person; None: its primary key.
        kind: of the people: it selects the kind of identity.
        tenant: the column by which tables name the tenant; None: the most frequent of the usual names.
        schemas: further schemas.
        title: of the source, for people; empty: the name of the database.

    Raises: BadInput for a table or column that the database does not have, and for contacts without a tenant.
    """
    every = catalogue.read(connection, schemas).tables
    found = Catalogue({name: one for name, one in every.items() if not one.is_partition})
    table = found.tables.get(subject_table)
    if table is None:
        near = difflib.get_close_matches(subject_table, found.tables, SUGGESTED, 0.5)
        hint = f"similar tables: {', '.join(near)}" if near else "name its schema with --schema"
        raise BadInput(f"the database has no table {subject_table!r} among its {len(found.tables)}", hint=hint)
    if key is None and len(table.key) != 1:
        raise BadInput(f"the table {subject_table!r} has no primary key of one column", hint="name one: --subject-key")
    if key is not None and key not in table.columns:
        raise BadInput(f"the table {subject_table!r} has no column {key!r}")
    if tenant is not None and not paths.frequency(found, tenant):
        raise BadInput(f"no table has a column {tenant!r}")
    tenant = tenant or paths.tenant_column(found)
    if kind is SubjectKind.CONTACT and not tenant:
        tenant = next((one for one in paths.TENANT_COLUMNS if one in table.columns), None)
    if kind is SubjectKind.CONTACT and tenant not in table.columns:
        seen = f"column {tenant!r}" if tenant else "column of a tenant"
        hint = "name its column with --tenant-column; people of one company alone are --kind user"
        raise BadInput(f"the table {subject_table!r} has no {seen}: a contact is known to one tenant", hint=hint)
    reached = paths.find(found, subject_table, key or table.key[0], tenant)
    return Proposal(found, reached, kind, title or connection.engine.url.database or "Database")
