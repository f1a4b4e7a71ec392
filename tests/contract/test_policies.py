"""Policies of PostgreSQL that show no row to the account of a map, whatever it sets: exports would find nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader

MAP = """
title = "Desk"
role = "processor"
kinds = ["contact"]
[session]
{0}
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "observed"
table = "notes"
tenant = "org"
rows = [{{ column = "person_id", identities = ["contact_id"] }}]
[dataset.fields]
id = {{ type = "integer", text = "Id." }}
[[decision]]
by = "Ann"
on = 2026-12-01
about = ["notes"]
"""
BY_SETTING = "create policy own on notes using (org = current_setting('app.org', true))"
BY_BOTH = (
    "create policy own on notes using (org = current_setting('app.org', true)"
    " {0} person_id = nullif(current_setting('app.x', true), ''))"
)
BOTH_OF_FUNCTION = (
    "create function is_own(org text) returns boolean stable language sql as $$ select"
    " org = current_setting('app.org', true) and current_setting('app.x', true) = 'y' $$"
)
BY_FUNCTION = (
    "create function own_org() returns text stable language sql as $$ select current_setting('app.org', true) $$",
    "create policy own on notes using (org = own_org())",
)
RESTRICTIVE = "create policy more on notes as restrictive using ({0})"
BY_CALLED_FUNCTION = (
    BY_FUNCTION[0],
    "create function calling_org() returns text stable language plpgsql as $$ begin return own_org (); end $$",
    "create policy own on notes using (org = calling_org())",
)
FUNCTIONS = (
    *BY_CALLED_FUNCTION[:2],
    "create function atomic_org() returns text stable language sql begin atomic; select own_org(); end",
    "create function named() returns text stable language sql as $$ select current_user::text -- it's so\n $$",
    "create function named_once() returns name stable security definer language sql as $$ select session_user $$",
    "create function owner_named() returns name stable security definer language sql as $$ select current_user $$",
)
"""Functions that read a setting, also by another function, and functions that read the name of the account."""
SETS, SETS_ANOTHER = 'set = { "app.ORG" = "{tenant}" }', 'set = { "app.tenant" = "{tenant}" }'
NO_POLICY = "row-level security of notes shows this account no row: no policy for SELECT is for it"
BY_ACCOUNT = "create policy staff on notes using (person_id = current_user)"
COMPARED = (
    "compare the name of the account (CURRENT_USER): they may hide rows from it"
    " (shows_all_rows = true says that they hide none)"
)
BY_SESSION_USER = f"the policies of notes {COMPARED}".replace("CURRENT", "SESSION")
NOT_SET = "the policies of notes need app.org, which [session] does not set"

ALL, NONE = "shows_all_rows = true", ""
BY_ORG = "id, org, person_id from rows_of_notes where org"
ACCOUNT = "the name of the account"
VIEWS = [
    ("postgresql", f"{BY_ORG} = current_setting('app.org', true)", "app.org", (NONE, SETS_ANOTHER), (SETS, ALL)),
    ("postgresql", f"{BY_ORG} = own_org()", "app.org", (NONE, SETS_ANOTHER), (SETS, ALL)),
    ("postgresql", f"{BY_ORG} = calling_org()", "app.org", (NONE, SETS_ANOTHER), (SETS, ALL)),
    ("postgresql", f"{BY_ORG} = atomic_org()", "app.org", (NONE, SETS_ANOTHER), (SETS, ALL)),
    ("postgresql", f"{BY_ORG} = named()", ACCOUNT, (NONE, SETS), (ALL,)),
    ("postgresql", f"{BY_ORG} = named_once()", ACCOUNT, (NONE, SETS), (ALL,)),
    ("postgresql", f"{BY_ORG} <> owner_named()", "", (), (NONE, SETS, ALL)),
    ("postgresql", "id, org, person_id from inner_notes", "app.org", (NONE, SETS_ANOTHER), (SETS, ALL)),
    ("postgresql", f"{BY_ORG} = current_user", ACCOUNT, (NONE, SETS), (ALL,)),
    ("postgresql", f"{BY_ORG} <> 'current_user' and current_setting('TimeZone') <> ''", "", (), (NONE, SETS, ALL)),
    ("mysql", f"{BY_ORG} = substring_index(user(), '@', 1)", ACCOUNT, (NONE,), (ALL,)),
    ("mysql", "id, org, person_id from inner_notes", ACCOUNT, (NONE,), (ALL,)),
    ("mysql", f"{BY_ORG} <> 'user()' and current_user() <> ''", "", (), (NONE, ALL)),
]
"""Views, on what their rows depend, and the sessions with which the check says so, and says nothing."""


@pytest.mark.parametrize(("database", "view", "reason", "said", "silent"), VIEWS)
def test_views_that_depend_on_the_account_are_found(  # one case
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    view: str,
    reason: str,
    said: tuple[str, ...],
    silent: tuple[str, ...],
) -> None:
    """A view may filter by a setting, or by the name of the account, also in a function or in another view."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    own = {"postgresql": "current_setting('app.org', true)", "mysql": "user()"}[database]
    execute_all(
        owner,
        "create table rows_of_notes (id integer primary key, org varchar(40) not null, person_id varchar(40))",
        *FUNCTIONS * (database == "postgresql"),
        f"create view inner_notes as select * from rows_of_notes where org = {own}",  # noqa: S608  # of this test alone
        f"create view notes as select {view}",
    )

    def details(session: str) -> list[str]:
        findings = opened(reader, MAP.format(session)).check().findings
        return [one.detail for one in findings if one.kind == "unfit"]

    with mapped_sources() as opened:
        assert [details(session) for session in silent] == [[] for _ in silent]
        for session in said:
            (detail,) = details(session)
            assert detail.startswith(f"the rows of the view notes depend on {reason}")


@pytest.mark.parametrize(
    ("session", "policies", "expected"),
    [
        (SETS, (BY_SETTING,), []),
        (SETS_ANOTHER, (BY_SETTING,), [NOT_SET]),
        (SETS_ANOTHER, BY_FUNCTION, [NOT_SET]),
        (SETS, BY_FUNCTION, []),
        (SETS_ANOTHER, BY_CALLED_FUNCTION, [NOT_SET]),
        (SETS, BY_CALLED_FUNCTION, []),
        (SETS_ANOTHER, (BY_SETTING, BY_ACCOUNT), [f"{NOT_SET} and {COMPARED}"]),
        (SETS, (BY_SETTING, BY_ACCOUNT), []),
        (SETS, (BY_ACCOUNT,), [f"the policies of notes {COMPARED}"]),
        (ALL, (BY_ACCOUNT,), []),
        (SETS, (BY_SETTING, RESTRICTIVE.format("org = session_user")), [BY_SESSION_USER]),
        (SETS, (BY_SETTING[:-1] + " or current_user = 'boss')",), []),
        (SETS, (BY_SETTING[:-1] + " and current_user = 'boss')",), [f"the policies of notes {COMPARED}"]),
        (SETS, (FUNCTIONS[3], BY_ACCOUNT.replace("current_user", "named()")), [f"the policies of notes {COMPARED}"]),
        (SETS, (FUNCTIONS[4], BY_ACCOUNT.replace("current_user", "named_once()")), [BY_SESSION_USER]),
        (SETS, (FUNCTIONS[5], BY_ACCOUNT.replace("current_user", "owner_named()")), []),
        (SETS, (BY_SETTING[:-1] + " and person_id <> 'current_user')",), []),
        (SETS_ANOTHER, (BY_SETTING, "alter role {reader} set app.org = 'org_1'"), []),
        ("shows_all_rows = true", (BY_SETTING,), []),
        ("shows_all_rows = true", (), [NO_POLICY]),
        (SETS, (), [NO_POLICY]),
        (SETS, ("create policy own on notes to pg_monitor using (true)",), [NO_POLICY]),
        (SETS, ("create policy own on notes for update using (true)",), [NO_POLICY]),
        (SETS, (BY_SETTING.replace(" using", " as restrictive using"),), [NO_POLICY]),
        (SETS, (BY_SETTING, RESTRICTIVE.format("current_setting('app.x', true) = 'y'")), [NOT_SET.replace("org", "x")]),
        (SETS, (BY_SETTING, RESTRICTIVE.format("current_setting('app.org', true) = org")), []),
        (SETS, (BY_SETTING, RESTRICTIVE.format("person_id <> ''")), []),
        (ALL, ("create policy own on notes using (true)", RESTRICTIVE.format("current_setting('app.x') = 'y'")), []),
        (SETS, (BY_BOTH.format("and"),), [NOT_SET.replace("org", "x")]),
        (SETS_ANOTHER, (BY_BOTH.format("and"),), [NOT_SET.replace("org", "org, app.x")]),
        (SETS.replace(" }", ', "app.x" = "y" }'), (BY_BOTH.format("and"),), []),
        (SETS, (BY_BOTH.format("or"),), []),
        (SETS, (BY_BOTH.format("and coalesce('', 'a') is null and "),), []),
        (SETS, (BOTH_OF_FUNCTION, "create policy own on notes using (is_own(org))"), [NOT_SET.replace("org", "x")]),
        (SETS, (BOTH_OF_FUNCTION.replace("and", "or"), "create policy own on notes using (is_own(org))"), []),
        (SETS, ("alter table notes disable row level security",), []),
    ],
)
def test_policies_that_show_no_row_are_found(
    request: pytest.FixtureRequest, tmp_path: Path, session: str, policies: tuple[str, ...], expected: list[str]
) -> None:
    """A policy that needs no setting, or one that the account has by default, may show rows.

    One that compares the name of the account shows those of the account alone.
    """
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    account = reader.partition("//")[2].partition("@")[0].partition(":")[0]
    execute_all(
        owner,
        f'alter role "{account}" reset all',
        "create table notes (id integer primary key, org text not null, person_id text)",
        "create index on notes (org, id)",
        "alter table notes enable row level security",
        *(one.format(reader=account) if "{reader}" in one else one for one in policies),
    )
    with mapped_sources() as opened:
        findings = opened(reader, MAP.format(session)).check().findings
    execute_all(owner, f'alter role "{account}" reset all')

    assert [one.detail for one in findings if one.kind == "unfit"] == expected


@pytest.mark.parametrize(("session", "expected"), [(SETS, []), (SETS_ANOTHER, ["app.org"])])
def test_policies_of_what_a_view_reads_are_found(
    request: pytest.FixtureRequest, tmp_path: Path, session: str, expected: list[str]
) -> None:
    """The view has none of its own, and is empty where they show the account no row."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create table rows_of_notes (id integer primary key, org text not null, person_id text)",
        "alter table rows_of_notes enable row level security",
        BY_SETTING.replace("on notes", "on rows_of_notes"),
        "create view inner_notes with (security_invoker) as select * from rows_of_notes",
        "create view notes with (security_invoker) as select * from inner_notes",
    )
    with mapped_sources() as opened:
        findings = opened(reader, MAP.format(session)).check().findings

    seen = "the policies of rows_of_notes, which notes reads, need {0}, which [session] does not set"
    assert [one.detail for one in findings if one.kind == "unfit"] == [seen.format(name) for name in expected]
