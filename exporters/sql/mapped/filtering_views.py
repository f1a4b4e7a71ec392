"""Views that show each account other rows, by a setting or by its name: exports would find none, without an error."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import Connection, text

from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import MYSQL, POSTGRESQL
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import CoverageFinding, CoverageKind

SETTING = r"current_setting\s*\(\s*'([^']+)'"
"""A pattern of PostgreSQL for what reads a setting."""
CALLED = (
    "with recursive called(oid, written, is_definer) as ("
    "select f.oid, f.prosrc, f.prosecdef from pg_catalog.pg_depend d"
    " join pg_catalog.pg_proc f on f.oid = d.refobjid and f.prokind in ('f', 'p')"
    " where d.classid = '{0}'::pg_catalog.regclass and d.objid = {1}"
    " and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
    " union select f.oid, f.prosrc, f.prosecdef from called"
    " join pg_catalog.pg_proc f on f.prokind in ('f', 'p')"
    " join pg_catalog.pg_namespace n on n.oid = f.pronamespace and n.nspname <> 'pg_catalog'"
    # PostgreSQL notes no dependency for a name in a body that is a text.
    " where called.written ~ pg_catalog.concat('\\m', pg_catalog.regexp_replace(f.proname, '(\\W)', '\\\\\\1', 'g'),"
    " '\"?\\s*\\(')"
    " or exists (select 1 from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
    " and d.objid = called.oid and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.refobjid = f.oid))"
    " select pg_catalog.pg_get_functiondef(called.oid) as written, called.is_definer from called"
)
"""A query of PostgreSQL for the functions that an object calls, and for those that they call."""
NAMED_IN_FUNCTIONS = r"\m(current_user|current_role|session_user)\M"
"""A pattern for the account in a function; `user` is also a usual name."""
COMPARED_POSTGRESQL = text(
    # The views, those that they read, and the functions that they call.
    "with recursive reached(name, schema, oid) as ("  # noqa: S608  # no values
    "select w.name, w.schema, c.oid from unnest(cast(:schemas as text[]), cast(:tables as text[])) as w(schema, name)"
    " join pg_catalog.pg_namespace n on n.nspname = w.schema"
    " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind = 'v'"
    " union select reached.name, reached.schema, v.oid from reached"
    " join pg_catalog.pg_rewrite r on r.ev_class = reached.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    " join pg_catalog.pg_class v on v.oid = d.refobjid and v.relkind = 'v'),"
    " viewed as (select reached.*, pg_catalog.pg_get_viewdef(reached.oid) as written from reached),"
    " called as (select reached.*, f.written, f.is_definer from reached"
    " join pg_catalog.pg_rewrite r on r.ev_class = reached.oid"
    f" cross join lateral ({CALLED.format('pg_catalog.pg_rewrite', 'r.oid')}) f)"
    " select found.schema, found.name, pg_catalog.lower(m.found[1]) as setting, '' as account"
    " from (select schema, name, written from viewed"
    " union select schema, name, written from called) found"
    " cross join lateral pg_catalog.regexp_matches(found.written, cast(:setting as text), 'g') as m(found)"
    " where coalesce(pg_catalog.current_setting(m.found[1], true), '') = ''"
    " union select viewed.schema, viewed.name, '', pg_catalog.lower(m.found[1]) from viewed"
    # Without texts, and without names in quotes.
    """ cross join lateral pg_catalog.regexp_matches(pg_catalog.regexp_replace(viewed.written, '''[^'']*''|"[^"]*"',"""
    " '', 'g'), '\\m(CURRENT_USER|CURRENT_ROLE|SESSION_USER|USER)\\M') as m(found)"
    # A function with the rights of its owner has another current user.
    " union select called.schema, called.name, '', pg_catalog.upper(m.found[1]) from called"
    """ cross join lateral pg_catalog.regexp_matches(pg_catalog.regexp_replace(called.written,"""
    """ '--[^\n]*|''[^'']*''|"[^"]*"', '', 'g'), cast(:account as text), 'gi') as m(found)"""
    " where not called.is_definer or pg_catalog.lower(m.found[1]) = 'session_user' order by 1, 2, 3, 4"
)
"""Settings without a value that views compare, and by which name they compare the account."""
HINT = "name another view, or a setting in `set` of [session]; shows_all_rows = true says that it hides none"
DEFINED_MYSQL = text("select table_schema, table_name, view_definition from information_schema.views")
ACCOUNT_MYSQL = re.compile(r"\b(?:user|session_user|system_user)\(\)", re.IGNORECASE)
"""The account that reads; `current_user()` is that of the view's owner, unless the view says otherwise."""
TEXT_OR_NAME = re.compile(r"'(?:[^'\\]|\\.)*'|`[^`]*`")


def found(connection: Connection, form: SqlSourceForm, used: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the views whose rows depend on the account or its settings, unless the map says that it sees all rows."""
    if form.session.shows_all_rows:
        return
    views = {name: table.schema or "" for name, table in used.items() if table.is_view}
    find = {POSTGRESQL: _postgresql, MYSQL: _mysql}.get(connection.dialect.name)
    if not (find and views):
        return
    for name, reason in sorted(find(connection, form, views).items()):
        dataset = next((one.name for one in form.dataset if one.table == name and one.fields), "")
        detail = f"the rows of the view {name} depend on {reason}: it may hide rows from this account ({HINT})"
        yield CoverageFinding(CoverageKind.UNFIT, name, dataset=dataset, detail=detail)


def _postgresql(connection: Connection, form: SqlSourceForm, views: Mapping[str, str]) -> Mapping[str, str]:
    """Return what views depend on, by their names in the map."""
    places = {(schema, name.rpartition(".")[2]): name for name, schema in views.items()}
    schemas, tables = zip(*places, strict=True)
    set_by_map = {name.lower() for name in form.session.set}
    reasons: dict[str, list[str]] = defaultdict(list)
    names = {"schemas": list(schemas), "tables": list(tables), "setting": SETTING, "account": NAMED_IN_FUNCTIONS}
    for row in connection.execute(COMPARED_POSTGRESQL, names):
        if row.account or row.setting not in set_by_map:
            reason = f"the name of the account ({row.account})" if row.account else f"{row.setting}, which is not set"
            reasons[places[row.schema, row.name]].append(reason)
    return {name: " and on ".join(every) for name, every in reasons.items()}


def _mysql(connection: Connection, _form: SqlSourceForm, views: Mapping[str, str]) -> Mapping[str, str]:
    """Return what views depend on, by their names in the map; those that they read count, too."""
    defined = {f"`{schema}`.`{name}`": written or "" for schema, name, written in connection.execute(DEFINED_MYSQL)}
    default = connection.scalar(text("select database()"))
    every = {name: f"`{schema or default}`.`{name.rpartition('.')[2]}`" for name, schema in views.items()}
    return {name: "the name of the account" for name, place in every.items() if _names_account(place, defined, set())}


def _names_account(place: str, defined: Mapping[str, str], seen: Collection[str]) -> bool:
    written = defined.get(place, "")
    if ACCOUNT_MYSQL.search(TEXT_OR_NAME.sub("", written)):
        return True
    inner = [one for one in defined if one in written and one not in seen and one != place]
    return any(_names_account(one, defined, {*seen, place}) for one in inner)
