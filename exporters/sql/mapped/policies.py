"""Policies of row-level security that show an account no row, without an error: exports would find nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from exporters.sql.mapped import filtering_views
from exporters.sql.mapped.called_functions import CALLED, OWN
from exporters.sql.mapped.catalogue import PROTECTED, Catalogue
from exporters.sql.mapped.databases import POSTGRESQL
from exporters.sql.mapped.filtering_views import ACCOUNT_POSTGRESQL, NAMED_POSTGRESQL, SETTING, UNWRITTEN_POSTGRESQL
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import CoverageFinding, CoverageKind

ALTERNATIVE = r"\m(or|case|if|coalesce|null|distinct|not)\M|<>|!="
"""A pattern of PostgreSQL for conditions that may show rows although one of their settings has no value."""
HIDES = "they may hide rows from it (shows_all_rows = true says that they hide none)"
SHOWING = text(
    f"with recursive {OWN},"  # noqa: S608  # parts of this module's neighbour alone
    " wanted as (select w.place, w.account, c.oid from unnest(cast(:schemas as text[]), cast(:tables as text[]),"
    " cast(:accounts as text[])) with ordinality as w(schema, name, account, place)"
    " join pg_catalog.pg_namespace n on n.nspname = w.schema"
    " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p')),"
    # The functions of the policies, and those that they call.
    " calls as (select p.oid as policy, own.oid, own.is_definer from wanted"
    " join pg_catalog.pg_policy p on p.polrelid = wanted.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid"
    " and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass join own on own.oid = d.refobjid"
    f" union select calls.policy, own.oid, calls.is_definer or own.is_definer from calls join {CALLED})"
    " select wanted.place, p.oid as policy, p.polpermissive as is_permissive, s.name,"
    " coalesce(pg_catalog.current_setting(s.name, true), '') <> '' as has_value, pg_catalog.replace(condition.written,"
    " 'CREATE OR REPLACE', '') ~* cast(:alternative as text) as is_alternative, named.accounts from wanted"
    " left join pg_catalog.pg_policy p on p.polrelid = wanted.oid and p.polcmd in ('*', 'r')"
    " and exists (select 1 from pg_catalog.unnest(p.polroles) as r(role) where r.role = 0"
    " or pg_catalog.pg_has_role(wanted.account::name, r.role, 'USAGE'))"
    " left join lateral (select pg_catalog.string_agg(own.written, ' ') from calls join own on own.oid = calls.oid"
    " where calls.policy = p.oid) as called(written) on true"
    " left join lateral pg_catalog.concat(pg_catalog.pg_get_expr(p.polqual, p.polrelid), ' ', called.written)"
    " as condition(written) on true"
    " left join lateral pg_catalog.regexp_matches(condition.written, cast(:setting as text), 'g') as m(found) on true"
    " left join lateral (select pg_catalog.lower(m.found[1])) as s(name) on true"
    " left join lateral (select pg_catalog.array_agg(distinct pg_catalog.upper(m.found[1])) from (select"
    " pg_catalog.pg_get_expr(p.polqual, p.polrelid), false union all select own.written, calls.is_definer"
    " from calls join own on own.oid = calls.oid where calls.policy = p.oid) as found(written, is_definer)"
    f"{NAMED_POSTGRESQL}) as named(accounts) on true"
)
"""The policies that decide which rows the account sees, with the settings that each compares, and by which name it
compares the account; NULL: none."""


@dataclass(slots=True)
class _Policy:
    """A policy for the account: whether it adds rows or takes some away, and the settings that it compares."""

    is_permissive: bool
    is_alternative: bool
    """Whether one setting with a value may be enough."""
    settings: set[str] = field(default_factory=set)
    """In lower case; in upper case the names by which it compares the account."""
    unset: set[str] = field(default_factory=set)
    """Those that have no value, and the names."""

    @property
    def is_met(self) -> bool:
        """Whether it compares no setting, or those that it needs have a value."""
        return not self.unset or (self.is_alternative and self.unset < self.settings)


def hidden(connection: Connection, form: SqlSourceForm, used: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the tables of which no policy can show a row, and the views whose rows depend on the account.

    No policy is for the account, or all that show rows, or one that takes rows away, need other settings or accounts.
    """
    yield from filtering_views.found(connection, form, used)
    is_expected = form.session.set or form.session.shows_all_rows
    if connection.dialect.name != POSTGRESQL or not is_expected:
        return  # without these keys, hidden rows are a fault by themselves
    protected = list(_protected(connection, used))
    columns = ("schemas", "tables", "accounts")
    arrays = {name: [one[place] for _, *one in protected] for place, name in enumerate(columns)}
    policies: dict[int, dict[int, _Policy]] = defaultdict(dict)
    values = {name.lower() for name in form.session.set}
    patterns = {"setting": SETTING, "account": ACCOUNT_POSTGRESQL, "unwritten": UNWRITTEN_POSTGRESQL}
    for row in connection.execute(SHOWING, {**arrays, **patterns, "alternative": ALTERNATIVE}):
        made = _Policy(is_permissive=bool(row.is_permissive), is_alternative=bool(row.is_alternative))
        policy = policies[row.place].setdefault(row.policy or 0, made)
        if row.name:
            policy.settings.add(row.name)
        if row.name and not (row.has_value or row.name in values or form.session.shows_all_rows):
            policy.unset.add(row.name)
        if row.accounts and not form.session.shows_all_rows:
            policy.settings.update(row.accounts)
            policy.unset.update(row.accounts)
    for place, found in sorted(policies.items()):
        showing = [one for one in found.values() if one.is_permissive]
        is_shown = any(one.is_met for one in showing)
        hiding = [one for one in found.values() if not (one.is_permissive or one.is_met)]
        if is_shown and not hiding:
            continue
        needing = hiding if is_shown else showing
        name, _, table, _ = protected[place - 1]
        of = name if table == name.rpartition(".")[2] else f"{table}, which {name} reads,"
        detail = _detail(of, {name for one in needing for name in one.unset})
        dataset = next((one.name for one in form.dataset if one.table == name and one.fields), "")
        yield CoverageFinding(CoverageKind.UNFIT, name, dataset=dataset, detail=detail)


def _detail(of: str, unset: set[str]) -> str:
    accounts = ", ".join(sorted(name for name in unset if name.isupper()))
    settings = ", ".join(sorted(name for name in unset if not name.isupper()))
    needs = [f"need {settings}, which [session] does not set"] * bool(settings)
    compares = [f"compare the name of the account ({accounts}): {HIDES}"] * bool(accounts)
    if reasons := " and ".join((*needs, *compares)):
        return f"the policies of {of} {reasons}"
    return f"row-level security of {of} shows this account no row: no policy for SELECT is for it"


def _protected(connection: Connection, used: Catalogue) -> Iterator[tuple[str, str, str, str]]:
    """Yield the tables whose rows policies filter: name in the map, own schema and name, account of the policies."""
    places = {(found.schema, name.rpartition(".")[2]): name for name, found in used.items() if found.hides_rows}
    for schema in sorted({one for one, _ in places if one}):
        tables = [table for of, table in places if of == schema]
        for row in connection.execute(PROTECTED, {"schema": schema, "tables": tables}):
            yield places[schema, row.name], row.schema, row.table, row.account
