"""Reads a catalogue and proposes a map for it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import PurePath

from sqlalchemy import Connection, inspect

from exporters.sql import catalogue
from exporters.sql.catalogue import Catalogue, CatalogueTable, meant_schemas
from exporters.sql.proposal import paths
from exporters.sql.proposal.draft import Proposal
from exporters.sql.stored_names import stored_names
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
    found, table = _read(connection, subject_table, tuple(schemas))
    subject_table = table.name
    if key is None and len(table.key) != 1:
        raise BadInput(f"the table {subject_table!r} has no primary key of one column", hint="name one: --subject-key")
    if key is not None and key not in table.columns:
        raise BadInput(
            f"the table {subject_table!r} has no column {key!r}", hint=_similar("columns", key, table.columns)
        )
    if tenant is not None and not paths.frequency(found, tenant):
        columns = {column for one in found.tables.values() for column in one.columns}
        raise BadInput(f"no table has a column {tenant!r}", hint=_similar("columns", tenant, columns))
    tenant = tenant or paths.tenant_column(found)
    if kind is SubjectKind.CONTACT and not tenant:
        tenant = next((one for one in paths.TENANT_COLUMNS if one in table.columns), None)
    if kind is SubjectKind.CONTACT and tenant not in table.columns:
        seen = f"column {tenant!r}" if tenant else "column of a tenant"
        hint = "name its column with --tenant-column; people of one company alone are --kind user"
        raise BadInput(f"the table {subject_table!r} has no {seen}: a contact is known to one tenant", hint=hint)
    reached = paths.find(found, subject_table, key or table.key[0], tenant)
    return Proposal(found, reached, kind, title or _name(connection))


def _name(connection: Connection) -> str:
    """Return the name of the database for people: of a file its own name, without folders and ending."""
    name = connection.engine.url.database or "Database"
    return PurePath(name.removeprefix("file:")).stem if connection.dialect.name == "sqlite" else name


def _read(connection: Connection, subject: str, schemas: tuple[str, ...]) -> tuple[Catalogue, CatalogueTable]:
    """Return the catalogue and the table of the people, which may be named as in a map. Raises BadInput."""
    known = inspect(connection).get_schema_names()
    if unknown := [name for name in schemas if name not in known]:
        hint = _similar("schemas", unknown[0], known)
        raise BadInput(f"the database has no schema {unknown[0]!r}, or its account may not see it", hint=hint)
    schema, _, name = subject.rpartition(".")
    meant = meant_schemas(connection).get(name, inspect(connection).default_schema_name)
    every = catalogue.read(connection, (*schemas, *(({schema} - {meant}) & {*known}))).tables
    found = Catalogue({name: one for name, one in every.items() if one.columns and not one.is_partition})
    written = stored_names(connection, None, [name] if schema in {"", meant} else [])
    for one in (subject, *written.values()):
        if one in found.tables:
            return found, found.tables[one]
    hint = _other_schemas(connection, subject) or _similar("tables", subject, found.tables)
    raise BadInput(f"the database has no table {subject!r} among its {len(found.tables)}", hint=hint)


def _other_schemas(connection: Connection, name: str) -> str:
    """Return a hint with the names, as a map writes them, of tables of this name in any schema, or an empty text."""
    seen = inspect(connection)
    named = [f"{schema}.{name}" for schema in seen.get_schema_names() if name in seen.get_table_names(schema)]
    return f"name it with its schema: {' or '.join(named)}" if named else ""


def _similar(what: str, name: str, names: Collection[str]) -> str:
    """Return a hint with similar names, or an empty text."""
    folded = [one for one in names if one.casefold() == name.casefold()]
    near = folded or difflib.get_close_matches(name, names, SUGGESTED, 0.5)
    return f"similar {what}: {', '.join(near)}" if near else ""
