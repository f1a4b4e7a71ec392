"""Policies of row-level security that show an account no row, without an error: exports would find nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import Connection, text

from exporters.sql.mapped import filtering_views
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import POSTGRESQL
from exporters.sql.mapped.filtering_views import SETTING
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import CoverageFinding, CoverageKind

SHOWING = text(
    "select c.relname as table, n.nspname as schema, p.oid is not null as has_policy, s.name,"
    " coalesce(pg_catalog.current_setting(s.name, true), '') <> '' as has_value"
    " from unnest(cast(:schemas as text[]), cast(:tables as text[])) as w(schema, name)"
    " join pg_catalog.pg_namespace n on n.nspname = w.schema"
    " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p')"
    " left join pg_catalog.pg_policy p on p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r')"
    " and exists (select 1 from pg_catalog.unnest(p.polroles) as r(role) where r.role = 0"
    " or pg_catalog.pg_has_role(current_user, r.role, 'USAGE'))"
    # Also those that the functions of the policy read.
    " left join lateral (select pg_catalog.string_agg(pg_catalog.pg_get_functiondef(f.oid), ' ')"
    " from pg_catalog.pg_depend d"
    " join pg_catalog.pg_proc f on f.oid = d.refobjid and f.prokind in ('f', 'p')"
    " where d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid"
    " and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass) as called(written) on true"
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
    places = {(found.schema, name.rpartition(".")[2]): name for name, found in used.items() if found.hides_rows}
    is_expected = form.session.set or form.session.shows_all_rows
    if connection.dialect.name != POSTGRESQL or not places or not is_expected:
        return  # without these keys, hidden rows are a fault by themselves
    schemas, tables = zip(*places, strict=True)
    needed: dict[str, set[str]] = defaultdict(set)
    shown: set[str] = set()
    values = {name.lower() for name in form.session.set}
    for row in connection.execute(SHOWING, {"schemas": list(schemas), "tables": list(tables), "setting": SETTING}):
        name = places[row.schema, row.table]
        needed[name] |= {row.name} if row.name else set()
        if row.has_policy and (not row.name or row.has_value or row.name in values or form.session.shows_all_rows):
            shown.add(name)
    for name in sorted(needed.keys() - shown):
        settings = ", ".join(sorted(needed[name]))
        detail = (
            f"the policies of {name} need {settings}, which [session] does not set"
            if settings
            else f"row-level security of {name} shows this account no row: no policy for SELECT is for it"
        )
        dataset = next((one.name for one in form.dataset if one.table == name and one.fields), "")
        yield CoverageFinding(CoverageKind.UNFIT, name, dataset=dataset, detail=detail)
