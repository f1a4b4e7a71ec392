"""Views that depend on the account by functions, roles, or the rights of the caller: exports would find no row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import servers
from source_accounts import execute_all, mapped_source, mapped_sources, owner_and_reader

from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

NOTES = """
title = "Desk"
role = "controller"
kinds = ["user"]
[session]
{0}
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "observed"
table = "notes"
rows = [{{ column = "who", identities = ["user_id"] }}]
[dataset.fields]
id = {{ type = "integer", text = "Id." }}
"""
TABLE = "create table kept (id integer primary key, org varchar(90), who varchar(40))"
FROM_KEPT = "select * from kept"
NAMED = "the name of the account"
FUNCTION = "create function {0}() returns text stable {1} as $body$ {2} $body$"
BY_SETTING = FUNCTION.format("of_setting", "language sql", "select current_setting('app.x', true)")
BY_CALLER = FUNCTION.format("of_caller", "language sql", "select current_user::text")
DEEP = FUNCTION.format("deep", "language plpgsql", "begin return OF_SETTING (); end")
DEEPER = FUNCTION.format("deeper", "language plpgsql", "begin return deep(); end")
AS_OWNER = FUNCTION.format("as_owner", "language sql security definer", "select current_user || of_caller()")
HARMLESS = FUNCTION.format("harmless", "language plpgsql", "begin return 'user'; /* user */ end -- user")
SIMILAR = FUNCTION.format("similar_one", "language plpgsql", "begin return undeep(); end")
UNDEEP = FUNCTION.format("undeep", "language sql", "select 'a'::text")


@pytest.mark.parametrize(
    ("functions", "condition", "reasons"),
    [
        ((BY_SETTING, DEEP), "org = deep()", ["app.x, which is not set"]),
        ((BY_SETTING, DEEP, DEEPER), "org = deeper()", ["app.x, which is not set"]),
        ((BY_CALLER, AS_OWNER), "org = as_owner()", []),
        ((), "pg_has_role(org, 'member')", [f"{NAMED} (PG_HAS_ROLE)"]),
        ((HARMLESS,), "org = harmless()", []),
        ((BY_SETTING, DEEP, UNDEEP, SIMILAR), "org = similar_one()", []),
    ],
)
def test_functions_that_functions_call_are_read(
    request: pytest.FixtureRequest, tmp_path: Path, functions: tuple[str, ...], condition: str, reasons: list[str]
) -> None:
    """A function that runs with the rights of its owner has the owner's name, except of the session."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    view = f"create view notes as select * from kept where {condition}"  # noqa: S608  # of this test alone
    execute_all(owner, TABLE, *functions, view)
    assert _reasons(reader) == reasons


@pytest.mark.parametrize(
    ("inner", "outer", "reasons"),
    [
        ("sql security invoker view read_by", "sql security invoker view notes", [NAMED]),
        ("sql security definer view read_by", "sql security invoker view notes", []),
        ("sql security invoker view read_by", "sql security definer view notes", []),
    ],
)
def test_a_view_of_mariadb_may_have_the_name_of_its_caller(
    request: pytest.FixtureRequest, tmp_path: Path, inner: str, outer: str, reasons: list[str]
) -> None:
    """`current_user()` is who reads if each view up to it has the rights of its caller."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        TABLE,
        "insert into kept values (1, current_user(), 'ann')",
        f"create {inner} as select * from kept where org = current_user()",  # noqa: S608  # of this test alone
        f"create {outer} as select * from read_by",  # noqa: S608  # of this test alone
    )
    exporter, engine = mapped_source(reader, NOTES.format("shows_all_rows = true"))
    read = list(exporter.export(sample_subject(SubjectKind.USER, "ann"), exporter.datasets[0], Selection()))
    engine.dispose()
    assert sum(len(batch.records) for batch in read) == (0 if reasons else 1)
    assert _reasons(reader) == reasons


@pytest.mark.parametrize(
    ("functions", "view", "unread", "reasons"),
    [
        ({"of_reader": "user()"}, f"{FROM_KEPT} where org = of_reader()", "of_reader", [NAMED]),
        (
            {"of_reader": "user()", "outer_one": "of_reader ()"},
            f"{FROM_KEPT} where org = outer_one()",
            "outer_one",
            [NAMED],
        ),
        ({"of_session": "@org"}, f"{FROM_KEPT} where org = of_session()", "of_session", ["a variable of the session"]),
        ({"of_owner": "current_user()"}, f"{FROM_KEPT} where org <> of_owner()", "of_owner", []),
        ({"written": "concat('user()', '@')"}, f"{FROM_KEPT} where org <> written()", "written", []),
        ({"shown_one": "user()"}, "select id, shown_one() as org, who from kept", "", []),
    ],
)
def test_functions_of_mariadb_may_choose_the_rows_of_a_view(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    mariadb_server: servers.MariaDB,
    functions: Mapping[str, str],
    view: str,
    unread: str,
    reasons: list[str],
) -> None:
    """An account that may execute a function may not read it: only who may, learns that it hides no row."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    account = reader.partition("//")[2].partition(":")[0]
    make = "create or replace function {0}() returns varchar(90) sql security definer return {1}"
    execute_all(owner, TABLE, *(make.format(*one) for one in functions.items()), f"create view notes as {view}")
    mariadb_server.execute(f"grant execute on {account}.* to {account}@localhost")
    try:
        text_is_secret = [f"the function {unread}, whose text this account may not read"] if unread else []
        assert _reasons(reader) == text_is_secret
        mariadb_server.execute(f"grant show create routine on {account}.* to {account}@localhost")
        assert _reasons(reader) == reasons
    finally:
        mariadb_server.execute(f"revoke execute, show create routine on {account}.* from {account}@localhost")
        execute_all(owner, *(f"drop function {name}" for name in functions))


def _reasons(reader: str) -> list[str]:
    """Return on what the check says that the rows of the view depend."""
    with mapped_sources() as opened:
        findings = opened(reader, NOTES.format("")).check().findings
    begin = "the rows of the view notes depend on "
    return [one.detail.removeprefix(begin).partition(": ")[0] for one in findings if one.kind == "unfit"]
