"""`portability source propose`, `check` and `diff`: from a database to a decided map, on the command line."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result
from repository import ROOT

from cli.main import main
from worker.read import bounded_calls

Run: TypeAlias = Callable[..., Result]
SCHEMA = """
create table users (id integer primary key, email text, password_hash text);
create table orders (id integer primary key, user_id integer references users, total integer);
create table settings (id integer primary key, value text);
"""
MAP = """
title = "Shop"
role = "controller"
kinds = ["user"]
[[decision]]
by = "Ann"
on = 2026-11-28
about = ["users", "orders", "settings"]
[[dataset]]
name = "users"
title = "Account"
description = "Your account."
provenance = "provided"
table = "users"
rows = [{ column = "id", identities = ["user_id"] }]
fields.id = { type = "integer", text = "Id." }
fields.email = { text = "Address." }
withheld.password_hash = { what = "a hash", reason = "a secret" }
[[dataset]]
name = "orders"
title = "Orders"
description = "Your orders."
provenance = "observed"
table = "orders"
rows = [{ column = "user_id", identities = ["user_id"] }]
fields.id = { type = "integer", text = "Id." }
fields.total = { type = "integer", text = "Total." }
internal.user_id = "the account"
[tables]
internal = { settings = "of the shop" }
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    connection.close()
    return path


@pytest.fixture
def run(tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on a folder with a file of sources; `crm.toml` is its map."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PORTABILITY_SOURCES", str(tmp_path / "sources.toml"))
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{shop}")
    (tmp_path / "sources.toml").write_text('[shop]\nkind = "sql"\nurl = "env:SHOP_URL"\nmap = "shop.toml"\n')
    (tmp_path / "shop.toml").write_text(MAP)
    return lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)


def json_of(done: Result) -> Any:
    return json.loads(done.stdout)


def alter_shop(shop: Path, statement: str) -> None:
    with sqlite3.connect(shop) as connection:
        connection.execute(statement)
    connection.close()


def test_a_decided_map_passes(run: Run) -> None:
    """The exit code is 0, and `diff` has nothing to say."""
    done = run("source", "check", "--json")

    assert (done.exit_code, json_of(done)["ok"]) == (0, True)
    (source,) = json_of(done)["sources"]
    assert (source["source"], source["state"], source["undecided"]) == ("shop", "complete", 0)
    assert run("source", "diff").stdout.strip() == "nothing to decide"
    assert "crm" not in run("source", "check").stdout


def test_drift_is_shown_and_has_its_exit_code(run: Run, shop: Path) -> None:
    """A new column, a new table and a column that is gone: `check` counts them, `diff` lists them with signs."""
    for statement in (
        "alter table users add phone text",
        "create table faxes (id integer primary key, number text)",
        "alter table orders drop total",
    ):
        alter_shop(shop, statement)
    done = run("source", "check", "shop", "--json")
    (source,) = json_of(done)["sources"]

    assert (done.exit_code, source["state"], source["undecided"], source["faults"]) == (1, "undecided", 3, 1)
    lines = [line.split()[:2] for line in run("source", "diff").stdout.splitlines()[1:]]
    assert sorted(lines) == [["+", "faxes"], ["+", "users.phone"], ["-", "orders.total"]]
    assert {(one["kind"], one["table"], one["column"]) for one in json_of(run("source", "diff", "--json"))} == {
        ("undecided_table", "faxes", ""),
        ("undecided_column", "users", "phone"),
        ("missing_column", "orders", "total"),
    }


def test_a_name_of_a_database_is_one_line_that_a_terminal_does_not_obey(run: Run, shop: Path) -> None:
    """Line ends, escapes and signs of direction are `?`, so that it is like no other line; JSON has it as it is."""
    name = "fax\nshop: decided\x1b]0;x\x07\u202eon"
    alter_shop(shop, f'alter table users add "{name}" text')

    assert run("source", "diff").stdout == "shop\n  + users.fax?shop: decided?]0;x??on  text\n"
    assert [one["column"] for one in json_of(run("source", "diff", "--json"))] == [name]


@pytest.mark.parametrize(("broken", "code"), [("map", "bad_map"), ("database", "source_unavailable")])
def test_a_source_that_cannot_be_compared_is_no_agreement(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, code: str
) -> None:
    """`diff` names the reason and ends with 1: it said "nothing to decide" of a source that it had not read."""
    if broken == "map":
        (tmp_path / "shop.toml").write_text(MAP.replace('name = "orders"', 'name = "no/name"'))
    else:
        monkeypatch.setenv("SHOP_URL", "postgresql://reader@127.0.0.1:1/shop")
    done = run("source", "diff")
    source, line = done.stdout.splitlines()[:2]

    assert (done.exit_code, source) == (1, "shop")
    assert line.startswith("  ! not compared: ")
    assert "nothing to decide" not in done.stdout
    assert [(one["source"], one["kind"]) for one in json_of(run("source", "diff", "--json"))] == [
        ("shop", "not_compared")
    ]
    assert code in done.stdout
    (fault,) = (one["error"] for one in json_of(run("source", "check", "--json"))["sources"])
    assert (fault["hint"] or "") in " ".join(run("source", "check").stdout.split())
    assert ("hint: " in line) == bool(fault["hint"])


def test_a_check_is_stored(run: Run, shop: Path) -> None:
    """Metrics, doctor and the register show what the last check found."""
    alter_shop(shop, "alter table users add phone text")
    found = {one["check"]: one for one in json_of(run("doctor", "--json"))["checks"]}
    assert found["coverage"]["result"] == "shop: no check within two days"
    assert "`portability source check`" in found["coverage"]["hint"]
    assert "source diff" not in found["coverage"]["hint"]
    run("source", "check")
    metrics = run("metrics").stdout

    assert 'portability_source_undecided_columns{source="shop"} 1.0' in metrics
    assert 'portability_source_faults{source="shop"} 0.0' in metrics
    found = {one["check"]: one for one in json_of(run("doctor", "--json"))["checks"]}
    assert found["coverage"]["result"] == "shop: 1 undecided columns, 0 faults"
    assert "source diff" in found["coverage"]["hint"]


def test_a_broken_map_costs_its_own_source(run: Run, tmp_path: Path) -> None:
    """Other sources are checked; the broken source has its error with line and column, without the secret."""
    (tmp_path / "broken.toml").write_text(MAP.replace('table = "orders"', 'tabel = "orders"'))
    with (tmp_path / "sources.toml").open("a") as file:
        file.write('[broken]\nkind = "sql"\nurl = "env:SHOP_URL"\nmap = "broken.toml"\n')
    done = run("source", "check", "--json")
    good, broken = json_of(done)["sources"]

    assert (done.exit_code, good["source"], good["state"]) == (1, "shop", "complete")
    assert broken["error"]["code"] == "bad_map"
    assert "unknown key 'tabel'" in broken["error"]["message"]
    assert "broken.toml:" in broken["error"]["message"]


def test_a_source_that_is_away_is_a_fault_of_the_check(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check does not end: the code of the error is stored and shown."""
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/gone/shop.db")
    done = run("source", "check", "--json")

    assert done.exit_code == 1
    assert json_of(done)["sources"][0]["error"]["code"] == "source_unavailable"


def test_an_unknown_source_is_bad_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error lists the declared sources; without a file of sources it names the setting."""
    done = run("source", "check", "shops")
    assert (done.exit_code, "declared: shop" in done.stderr) == (2, True)
    monkeypatch.delenv("PORTABILITY_SOURCES")
    done = run("source", "diff")
    assert (done.exit_code, "PORTABILITY_SOURCES is not set" in done.stderr) == (2, True)


def test_a_draft_is_checked_as_undecided(run: Run, tmp_path: Path) -> None:
    """`propose` writes a new file that `check` accepts; it never overwrites one."""
    done = run("source", "propose", "env:SHOP_URL", "--subject-table", "users", "--to", "draft.toml")
    assert (done.exit_code, "2 datasets" in done.stdout) == (0, True)
    (tmp_path / "shop.toml").write_bytes((tmp_path / "draft.toml").read_bytes())
    (source,) = json_of(run("source", "check", "--json"))["sources"]
    assert (source["state"], source["undecided"], source["faults"]) == ("undecided", 8, 0)
    again = run("source", "propose", "env:SHOP_URL", "--subject-table", "users", "--to", "draft.toml")
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    printed = run("source", "propose", "env:SHOP_URL", "--subject-table", "users")
    assert printed.stdout == (tmp_path / "draft.toml").read_text()


def test_a_draft_is_called_as_its_file(run: Run) -> None:
    """People read the title of a source: of a file of SQLite it is the name, and not the operator's folders."""
    done = run("source", "propose", "env:SHOP_URL", "--subject-table", "users")
    assert 'title = "shop"' in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("env:SHOP_URL", "--subject-table", "user"), "the database has no table 'user'"),
        (("env:SHOP_URL", "--subject-table", "users", "--subject-key", "uid"), "has no column 'uid'"),
        (("env:SHOP_URL", "--subject-table", "users", "--tenant-column", "org"), "no table has a column 'org'"),
        (
            ("env:SHOP_URL", "--subject-table", "users", "--kind", "contact"),
            "has no column of a tenant: a contact is known",
        ),
        (
            ("env:SHOP_URL", "--subject-table", "users", "--kind", "contact", "--tenant-column", "total"),
            "the table 'users' has no column 'total': a contact is known to one tenant",
        ),
        (("env:NOTHING", "--subject-table", "users"), "URL: env:NOTHING is empty or not set"),
        (("redis://secret@host/0", "--subject-table", "users"), "URL is not the URL of a database"),
        (("sqlite:///gone/secret.db", "--subject-table", "users"), "does not answer"),
    ],
)
def test_bad_input_of_propose_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    """What failed and what to do, without the address or its password."""
    done = run("source", "propose", *arguments)

    assert done.exit_code in {1, 2}
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "secret" not in done.stderr


def test_a_table_that_only_a_look_up_reads_needs_a_decision(run: Run, shop: Path, tmp_path: Path) -> None:
    """Its other columns may be personal: it is undecided until `[tables]` names it, as docs/coverage.md says."""
    alter_shop(shop, "create table logins (id integer primary key, address text, user_id integer)")
    look_up = """
[[identity]]
table = "logins"
from = "email"
column = "address"
value = "user_id"
gives = "user_id"
verified = true
"""
    (tmp_path / "shop.toml").write_text(MAP + look_up)
    (source,) = json_of(run("source", "check", "--json"))["sources"]
    found = {(one["kind"], one["table"]) for one in source["findings"]}
    assert found == {("undecided_table", "logins"), ("reused_ids", "users")}

    (tmp_path / "shop.toml").write_text(MAP.replace("{ settings", '{ logins = "logins", settings') + look_up)
    (source,) = json_of(run("source", "check", "--json"))["sources"]
    assert source["undecided"] == 0

    page = " ".join((ROOT / "docs" / "coverage.md").read_text().split())
    assert "neither that of a dataset nor internal in `[tables]`, also if a look-up or a way reads it" in page


@pytest.mark.parametrize("command", ["check", "diff"])
def test_a_silent_source_is_named_with_the_limit(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Its server accepts the connection and says nothing: the command says what it waits for, and ends."""
    monkeypatch.setattr(bounded_calls, "REPORT_SECONDS", 0)
    monkeypatch.setenv("PORTABILITY_SOURCE_SECONDS", "0.4")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("SHOP_URL", f"mysql+pymysql://a:b@127.0.0.1:{silent.getsockname()[1]}/shop")
        done = run("source", command)
    assert done.exit_code == 1
    assert done.stderr.count("waiting for shop: check, at most 0.4 s (PORTABILITY_SOURCE_SECONDS)") == 1
    assert "shop: check did not answer within 0.4 s [source_stalled]" in done.stdout
