"""A table that the database cannot read costs itself alone: nothing if no map reads it, else one finding."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader
from sqlalchemy import make_url

from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import CoverageFinding, CoverageKind, Selection, SubjectKind
from portability.api.coverage import FAULTS
from portability.database.engine import READING
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
ORDERS = ("create table orders (id integer primary key, who varchar(40))", "insert into orders values (1, 'ann')")
BROKEN: dict[str, dict[str, tuple[str, ...]]] = {
    "mysql": {
        "merged": ("create table merged (id integer primary key, who varchar(40)) engine = merge union = (gone)",),
        "mixed": (
            "create table mixed_1 (id integer primary key, who varchar(40)) engine = myisam",
            "create table mixed (id integer primary key, who varchar(20)) engine = merge union = (mixed_1)",
        ),
        "seen": (
            "create table gone (id integer primary key, who varchar(40))",
            "create view seen as select id, who from gone",
            "drop table gone",
        ),
        "of_another": (
            "create definer = nobody@localhost sql security definer view of_another as select id, who from orders",
        ),
        "calling": (
            "create or replace function own_name() returns varchar(40) deterministic return 'ann'",
            "create view calling as select id, who from orders where who = own_name()",
        ),
    },
    "postgresql": {
        "far": (
            "create extension if not exists postgres_fdw",
            "create server other foreign data wrapper postgres_fdw options (host '/nowhere', dbname 'x')",
            "create user mapping for public server other options (user 'x', password_required 'false')",
            "create foreign table away (id integer not null, who text) server other",
            "create view far as select id, who from away",
            "grant select on away, far to public",
        ),
        "secret": ("create table secret (id integer primary key, who text)", "revoke all on secret from {reader}"),
        "unfilled": (
            "create materialized view unfilled as select id, who from orders with no data",
            "grant select on unfilled to public",
        ),
    },
    "sqlite": {
        "seen": (
            "create table gone (id integer primary key, who text)",
            "create view seen as select id, who from gone",
            "drop table gone",
        ),
    },
}
"""By database and name: what the database lists and cannot read."""


def made(request: pytest.FixtureRequest, folder: Path, database: str) -> tuple[str, str]:
    """Return the addresses of a database with the table `orders` and all tables above, of its owner and a reader."""
    owner, reader = owner_and_reader(request, database, folder)
    account = make_url(reader).username
    statements = [one.format(reader=account) for name in BROKEN[database] for one in BROKEN[database][name]]
    execute_all(owner, *ORDERS, *statements)
    return owner, reader


def serious(findings: tuple[CoverageFinding, ...]) -> list[tuple[str, str]]:
    """What costs data, by dataset."""
    return [(one.table, one.dataset) for one in findings if one.kind in FAULTS]


@pytest.mark.parametrize("database", BROKEN)
def test_a_broken_table_that_no_map_reads_costs_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """The check, a draft and an export are those of the other tables."""
    _, reader = made(request, tmp_path, database)
    engine = open_database(*kind_of(reader, "url"), 60)
    with engine.connect().execution_options(**READING) as connection:
        text = draft(propose(connection, "orders"))
    engine.dispose()
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS)
        assert 'table = "orders"' in text
        assert serious(exporter.check().findings) == []
        exporter.prepare()
        (batch,) = exporter.export(ANN, exporter.datasets[0], Selection())
    assert [dict(one) for one in batch.records] == [{"id": 1}]


@pytest.mark.parametrize("database", BROKEN)
def test_a_broken_table_is_a_finding_about_itself(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """The findings name it and its dataset, and say nothing about the others."""
    _, reader = made(request, tmp_path, database)
    with mapped_sources() as opened:
        for name in BROKEN[database]:
            others = ROWS[ROWS.index("[[dataset]]") :].replace("orders", name)
            assert serious(opened(reader, f"{ROWS}{others}").check().findings) == [(name, name)], name


def test_a_view_that_may_not_be_described_is_undecided(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The account sees it and has no right SHOW VIEW: it may contain personal data."""
    owner, _ = owner_and_reader(request, "mysql", tmp_path)
    name = f"seer_{make_url(owner).database}"
    execute_all(
        owner,
        *ORDERS,
        "create view old_orders as select id, who from orders",
        f"create user {name}@localhost identified by 'reader'",
        f"grant select on {make_url(owner).database}.* to {name}@localhost",
    )
    reader = make_url(owner).set(username=name, password="reader").render_as_string(hide_password=False)
    with mapped_sources() as opened:
        findings = opened(reader, ROWS).check().findings
    execute_all(owner, f"drop user {name}@localhost")
    assert serious(findings) == []
    assert [(one.table, one.columns) for one in findings if one.kind is CoverageKind.UNDECIDED_TABLE] == [
        ("old_orders", 1)
    ]
