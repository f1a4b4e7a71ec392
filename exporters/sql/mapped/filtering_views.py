"""Views that show each account other rows, by a setting or by its name: exports would find none, without an error."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import Connection, text

from exporters.sql.mapped.called_functions import CALLED, OWN
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import MYSQL, POSTGRESQL
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import CoverageFinding, CoverageKind

SETTING = r"current_setting\s*\(\s*'([^']+)'"
"""A pattern of PostgreSQL for what reads a setting."""
ACCOUNT_POSTGRESQL = r"(?<![.\w])(current_user|current_role|session_user|user|pg_has_role)\M"
"""A pattern of PostgreSQL for what reads the name of the account, or its roles."""
UNWRITTEN_POSTGRESQL = r"""'[^']*'|"[^"]*"|--[^\n]*|/\*([^*]|\*+[^*/])*\*+/"""
"""A pattern of PostgreSQL for texts, names in quotes and comments."""
NAMED_POSTGRESQL = (
    " cross join lateral pg_catalog.regexp_matches(pg_catalog.regexp_replace(found.written, cast(:unwritten as text),"
    " '', 'g'), cast(:account as text), 'gi') as m(found)"
    # With the rights of its owner, a function has the name of the owner, except of the session.
    " where not found.is_definer or pg_catalog.upper(m.found[1]) = 'SESSION_USER'"
)
"""The rest of a query of `found`, texts of views, policies and functions: by which names each compares the account."""
COMPARED_POSTGRESQL = text(
    # The views, those that they read, and the functions that they call, at any depth.
    "with recursive reached(name, schema, oid) as ("  # noqa: S608  # parts of this module and its neighbour alone
    "select w.name, w.schema, c.oid from unnest(cast(:schemas as text[]), cast(:tables as text[])) as w(schema, name)"
    " join pg_catalog.pg_namespace n on n.nspname = w.schema"
    " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind = 'v'"
    " union select reached.name, reached.schema, v.oid from reached"
    " join pg_catalog.pg_rewrite r on r.ev_class = reached.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    " join pg_catalog.pg_class v on v.oid = d.refobjid and v.relkind = 'v'),"
    f" {OWN},"
    " calls as (select reached.name, reached.schema, own.oid, own.is_definer from reached"
    " join pg_catalog.pg_rewrite r on r.ev_class = reached.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid"
    " and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass join own on own.oid = d.refobjid"
    f" union select calls.name, calls.schema, own.oid, calls.is_definer or own.is_definer from calls join {CALLED}),"
    " found as (select name, schema, pg_catalog.pg_get_viewdef(oid) as written, false as is_definer from reached"
    " union select calls.name, calls.schema, own.written, calls.is_definer from calls join own on own.oid = calls.oid)"
    " select found.schema, found.name, pg_catalog.lower(m.found[1]) as setting, '' as account from found"
    " cross join lateral pg_catalog.regexp_matches(found.written, cast(:setting as text), 'g') as m(found)"
    " where coalesce(pg_catalog.current_setting(m.found[1], true), '') = ''"
    " union select found.schema, found.name, '', pg_catalog.upper(m.found[1]) from found"
    f"{NAMED_POSTGRESQL} order by 1, 2, 3, 4"
)
"""Settings without a value that views compare, and by which name they compare the account."""
HINT = "name another view, or a setting in `set` of [session]; shows_all_rows = true says that it hides none"
DEFINED_MYSQL = text(
    "select table_schema, table_name, view_definition, security_type = 'DEFINER' from information_schema.views"
)
FUNCTIONS_MYSQL = text(
    "select routine_schema, routine_name, routine_definition, security_type = 'DEFINER'"
    " from information_schema.routines where routine_type = 'FUNCTION'"
)
"""Those that the account may execute; NULL: it may not read the body."""
CALL = "()"
"""The end of the name of a function, beside names of views."""
ACCOUNT_MYSQL = re.compile(r"\b(?:user|session_user|system_user)\(\)", re.IGNORECASE)
"""The account that reads."""
CALLER_MYSQL = re.compile(r"\bcurrent_(?:user|role)\(\)", re.IGNORECASE)
"""The account whose rights count: that of the view's owner, or with SQL SECURITY INVOKER that which reads."""
VARIABLE_MYSQL = re.compile(r"@(?!@)")
"""A variable of the session, which views may not name, and functions may."""
CHOOSES_MYSQL = re.compile(r"\b(?:where|having|on)\b.*", re.IGNORECASE | re.DOTALL)
"""From the first condition of a view; what it calls before this gives values, and hides no row."""
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
    patterns = {"setting": SETTING, "account": ACCOUNT_POSTGRESQL, "unwritten": UNWRITTEN_POSTGRESQL}
    names = {"schemas": list(schemas), "tables": list(tables), **patterns}
    for row in connection.execute(COMPARED_POSTGRESQL, names):
        if row.account or row.setting not in set_by_map:
            reason = f"the name of the account ({row.account})" if row.account else f"{row.setting}, which is not set"
            reasons[places[row.schema, row.name]].append(reason)
    return {name: " and on ".join(every) for name, every in reasons.items()}


def _mysql(connection: Connection, _form: SqlSourceForm, views: Mapping[str, str]) -> Mapping[str, str]:
    """Return what views depend on, by their names in the map; those that they read count, too."""
    defined: dict[str, tuple[str | None, bool]] = {
        f"`{schema}`.`{name}`": (written or "", bool(is_definer))
        for schema, name, written, is_definer in connection.execute(DEFINED_MYSQL)
    }
    for schema, name, written, is_definer in connection.execute(FUNCTIONS_MYSQL):
        defined[f"`{schema}`.`{name}`{CALL}"] = (written, bool(is_definer))
    default = connection.scalar(text("select database()"))
    every = {name: f"`{schema or default}`.`{name.rpartition('.')[2]}`" for name, schema in views.items()}
    reasons = {name: _reason_mysql(place, defined, set()) for name, place in every.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _reason_mysql(
    place: str, defined: Mapping[str, tuple[str | None, bool]], seen: Collection[str], *, as_owner: bool = False
) -> str:
    """Return on what a view or function depends, by what it reads and calls, too; empty: on nothing of the session.

    `as_owner`: the rights of an owner count.
    """
    written, is_definer = defined.get(place, ("", True))
    if not isinstance(written, str):
        return f"the function {_name_of(place)}, whose text this account may not read"
    is_owner = as_owner or is_definer
    own = TEXT_OR_NAME.sub("", written)
    if ACCOUNT_MYSQL.search(own) or (not is_owner and CALLER_MYSQL.search(own)):
        return "the name of the account"
    if VARIABLE_MYSQL.search(own):
        return "a variable of the session"
    inner = [one for one in _inner(place, written, defined) if one not in seen and one != place]
    reasons = (_reason_mysql(one, defined, {*seen, place}, as_owner=is_owner) for one in inner)
    return next(filter(None, reasons), "")


def _inner(place: str, written: str, defined: Collection[str]) -> Iterator[str]:
    """Yield the views that a text reads, and the functions that choose its rows."""
    choosing = CHOOSES_MYSQL.search(written)
    calling = written if place.endswith(CALL) else choosing[0] if choosing else ""
    for one in defined:
        if one.endswith(CALL):
            if re.search(rf"\b{re.escape(_name_of(one))}`?\s*\(", calling, re.IGNORECASE):
                yield one
        elif one in written:
            yield one


def _name_of(function: str) -> str:
    return function.removesuffix(CALL).rpartition(".")[2].strip("`")
