"""Policies of row-level security that show an account no row, without an error: exports would find nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import Connection, text

from exporters.sql.mapped import filtering_views
from exporters.sql.mapped.catalogue import PROTECTED, Catalogue
from exporters.sql.mapped.databases import POSTGRESQL
from exporters.sql.mapped.filtering_views import CALLED, SETTING
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import CoverageFinding, CoverageKind

SHOWING = text(
    "select w.place, p.oid is not null as has_policy, s.name,"  # noqa: S608  # no values
    " coalesce(pg_catalog.current_setting(s.name, true), '') <> '' as has_value"
    " from unnest(cast(:schemas as text[]), cast(:tables as text[]), cast(:accounts as text[]))"
    " with ordinality as w(schema, name, account, place)"
    " join pg_catalog.pg_namespace n on n.nspname = w.schema"
    " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p')"
    " left join pg_catalog.pg_policy p on p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r')"
    " and exists (select 1 from pg_catalog.unnest(p.polroles) as r(role) where r.role = 0"
    " or pg_catalog.pg_has_role(w.account::name, r.role, 'USAGE'))"
    # Also those that the functions of the policy read.
    " left join lateral (select pg_catalog.string_agg(f.written, ' ') as written"
    f" from ({CALLED.format('pg_catalog.pg_policy', 'p.oid')}) f) as called on true"
    " left join lateral pg_catalog.regexp_matches(pg_catalog.concat(pg_catalog.pg_get_expr(p.polqual, p.polrelid),"
    " called.written), cast(:setting as text), 'g') as m(found) on true"
    " left join lateral (select pg_catalog.lower(m.found[1])) as s(name) on true"
)
"""The policies that may show rows to the account, with the settings that each compares; NULL: it compares none."""


def hidden(connection: Connection, form: SqlSourceForm, used: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the tables of which no policy can show a row, and the views whose rows depend on the account.

    No policy is for the account, or all need other settings.
    """
    yield from filtering_views.found(connection, form, used)
    is_expected = form.session.set or form.session.shows_all_rows
    if connection.dialect.name != POSTGRESQL or not is_expected:
        return  # without these keys, hidden rows are a fault by themselves
    protected = list(_protected(connection, used))
    columns = ("schemas", "tables", "accounts")
    arrays = {name: [one[place] for _, *one in protected] for place, name in enumerate(columns)}
    needed: dict[int, set[str]] = defaultdict(set)
    shown: set[int] = set()
    values = {name.lower() for name in form.session.set}
    for row in connection.execute(SHOWING, {**arrays, "setting": SETTING}):
        needed[row.place] |= {row.name} if row.name else set()
        if row.has_policy and (not row.name or row.has_value or row.name in values or form.session.shows_all_rows):
            shown.add(row.place)
    for place in sorted(needed.keys() - shown):
        name, _, table, _ = protected[place - 1]
        of = name if table == name.rpartition(".")[2] else f"{table}, which {name} reads,"
        settings = ", ".join(sorted(needed[place]))
        detail = (
            f"the policies of {of} need {settings}, which [session] does not set"
            if settings
            else f"row-level security of {of} shows this account no row: no policy for SELECT is for it"
        )
        dataset = next((one.name for one in form.dataset if one.table == name and one.fields), "")
        yield CoverageFinding(CoverageKind.UNFIT, name, dataset=dataset, detail=detail)


def _protected(connection: Connection, used: Catalogue) -> Iterator[tuple[str, str, str, str]]:
    """Yield the tables whose rows policies filter: name in the map, own schema and name, account of the policies."""
    places = {(found.schema, name.rpartition(".")[2]): name for name, found in used.items() if found.hides_rows}
    for schema in sorted({one for one, _ in places if one}):
        tables = [table for of, table in places if of == schema]
        for row in connection.execute(PROTECTED, {"schema": schema, "tables": tables}):
            yield places[schema, row.name], row.schema, row.table, row.account
