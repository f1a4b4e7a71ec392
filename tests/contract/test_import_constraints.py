"""Tables of a platform that are stricter or narrower than the schema's: each record is stored exactly, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import servers
from handmade import CREATED, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import Engine, create_engine, text

from exporters.reference import schema
from receiver.binding.target import ImportTarget
from receiver.importer.database import other_types
from receiver.importer.faults import BadTarget
from receiver.importer.report import DatasetResult, ImportReport

LINK = """
    CREATE TABLE stage (name text PRIMARY KEY); INSERT INTO stage VALUES ('first');
    ALTER TABLE deals ADD FOREIGN KEY (stage) REFERENCES stage"""
GUARD = """
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF NEW.stage = $$no$$ THEN VERDICT; END IF; RETURN NEW; END';
    CREATE TRIGGER guards BEFORE INSERT ON deals FOR EACH ROW EXECUTE FUNCTION guard()"""
STRICTER: Mapping[str, tuple[str, Mapping[str, object], str | None, str]] = {
    "fewer digits": ("ALTER TABLE deals ALTER amount TYPE numeric(6, 2)", {"amount": "10.545"}, "amount", "not_exact"),
    "a double": ("ALTER TABLE deals ALTER amount TYPE double precision", {"amount": "10.50"}, "amount", "not_exact"),
    "integers": ("ALTER TABLE deals ALTER amount TYPE bigint", {"amount": "2.00"}, "amount", "not_exact"),
    "whole numbers": (
        "ALTER TABLE deals ALTER probability TYPE integer",
        {"probability": 0.5},
        "probability",
        "not_exact",
    ),
    "seconds": (
        "ALTER TABLE deals ALTER closed_at TYPE timestamptz(0)",
        {"closed_at": "2026-01-02T03:04:05.5Z"},
        "closed_at",
        "not_exact",
    ),
    "fixed length": ("ALTER TABLE deals ALTER currency TYPE char(5)", {"currency": "EUR"}, "currency", "not_exact"),
    "too large": ("ALTER TABLE deals ALTER amount TYPE numeric(6, 2)", {"amount": "12345.00"}, None, "constraint"),
    "short text": ("ALTER TABLE deals ALTER stage TYPE varchar(3)", {"stage": "won?"}, None, "constraint"),
    "a check": ("ALTER TABLE deals ADD CHECK (stage <> 'lost')", {"stage": "lost"}, None, "constraint"),
    "a key": ("CREATE UNIQUE INDEX alone ON deals (stage)", {"stage": "first"}, None, "constraint"),
    "a required column": (
        "ALTER TABLE deals ALTER currency SET NOT NULL",
        {"currency": None},
        "currency",
        "constraint",
    ),
    "a link": (LINK, {"stage": "second"}, None, "constraint"),
    "a link that is checked at the end": (
        LINK + " DEFERRABLE INITIALLY DEFERRED",
        {"stage": "second"},
        None,
        "constraint",
    ),
    "a trigger that drops it": (GUARD.replace("VERDICT", "RETURN NULL"), {"stage": "no"}, None, "constraint"),
    "a trigger that raises": (GUARD.replace("VERDICT", "RAISE EXCEPTION $$no$$"), {"stage": "no"}, None, "constraint"),
}
"""What the platform has done, values that it does not store, the column that it names, and the reason."""
LIKE_ITS_NAME = {"amount": "10.54", "currency": "EUROS", "probability": 1.0, "closed_at": CREATED[:19] + "Z"}
TRIGGER = """
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name = upper(NEW.name); RETURN NEW; END';
    CREATE TRIGGER shouts BEFORE INSERT OR UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION shout()"""


def deal(identifier: str, **values: object) -> dict[str, Any]:
    """A record of crm/deals."""
    return {
        "id": identifier,
        "tenant_id": "ten_x",
        "name": "name",
        "stage": identifier,
        "created_at": CREATED,
        **values,
    }


def altered_platform(url: str, *statements: str) -> Engine:
    """The receiving platform with its tables, changed by these statements."""
    engine = create_engine(url)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    return engine


def import_deals(folder: Path, url: str, records: Sequence[Mapping[str, Any]], **options: Any) -> ImportReport:
    place = folder / f"archive-{len(list(folder.iterdir()))}"
    place.mkdir()
    archive = unpacked_archive(place, [table("deals", *records, exporter="crm")])
    return import_as(archive, url, ImportTarget(tenant="ten_a"), **options)


def deal_counts(report: ImportReport) -> tuple[int, int, int, int]:
    """(new, same, changed, kept) of the deals."""
    (deals,) = report.datasets
    return deals.new, deals.same, deals.changed, deals.kept


def refused_deals(deals: DatasetResult) -> list[tuple[int, str | None, str | None, str]]:
    return [(one.line, one.id, one.field, str(one.reason)) for one in deals.examples]


def stored_deals(engine: Engine, column: str) -> list[tuple[Any, ...]]:
    """(id, value) by the driver of the database alone."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT id, {column} FROM deals ORDER BY id"))]  # noqa: S608  # a constant


@pytest.mark.parametrize("which", STRICTER)
def test_a_record_that_the_platform_does_not_store_exactly_is_refused(tmp_path: Path, pg_url: str, which: str) -> None:
    """It is counted and named with its line and reason; the others are stored, also when it is imported again."""
    statement, values, field, reason = STRICTER[which]
    engine = altered_platform(pg_url, statement)
    amount = None if which in {"a double", "integers"} else "10.54"
    records = [deal(name, **{**LIKE_ITS_NAME, "amount": amount}) for name in ("first", "later")]
    if which.startswith("a link"):
        records[1]["stage"] = "first"
    if which == "short text":
        records = [{**one, "stage": str(one["stage"])[:3]} for one in records]
    bad = deal("bad", **{**records[0], "id": "bad", "stage": "bad", **values})

    for expected in (2, 0, 0), (0, 2, 0):
        report = import_deals(tmp_path, pg_url, [records[0], bad, records[1]])
        assert refused_deals(report.datasets[0]) == [(2, "bad", field, reason)]
        assert deal_counts(report)[:3] == expected
        assert [name for name, _amount in stored_deals(engine, "amount")] == ["first", "later"]
    engine.dispose()


def test_a_change_that_the_platform_does_not_store_leaves_the_row(tmp_path: Path, pg_url: str) -> None:
    """The row keeps its values, no change is counted, and undoing both imports leaves nothing."""
    engine = altered_platform(pg_url, "ALTER TABLE deals ALTER amount TYPE numeric(6, 2)")
    first = import_deals(tmp_path, pg_url, [deal("a", amount="10.54"), deal("b", amount="1.00")])
    second = import_deals(tmp_path, pg_url, [deal("a", amount="10.545", name="new"), deal("b", amount="2.00")])

    assert deal_counts(second) == (0, 0, 1, 0)
    assert refused_deals(second.datasets[0]) == [(1, "a", "amount", "not_exact")]
    assert [(name, str(amount)) for name, amount in stored_deals(engine, "amount")] == [("a", "10.54"), ("b", "2.00")]
    assert stored_deals(engine, "name") == [("a", "name"), ("b", "name")]
    assert [undone(pg_url, one).conflicts for one in (second, first)] == [0, 0]
    assert stored_deals(engine, "id") == []
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE deals ADD CHECK (stage <> 'b')", LINK.replace("first", "a") + " DEFERRABLE INITIALLY DEFERRED"],
)
def test_a_dry_run_names_what_an_import_would_refuse(tmp_path: Path, pg_url: str, statement: str) -> None:
    """A constraint refuses the same records in a dry run, which stores nothing, also if it is deferred."""
    engine = altered_platform(pg_url, statement)
    report = import_deals(tmp_path, pg_url, [deal("a"), deal("b")], dry_run=True)
    assert (deal_counts(report)[0], refused_deals(report.datasets[0])) == (1, [(2, "b", None, "constraint")])
    assert stored_deals(engine, "id") == []
    engine.dispose()


def test_many_refused_records_cost_the_others_nothing(tmp_path: Path, pg_url: str) -> None:
    """Every third of a batch: all are counted, and the first 20 listed."""
    engine = altered_platform(pg_url, "ALTER TABLE deals ADD CHECK (stage <> 'lost')")
    records = [deal(f"{number:03}", stage="lost" if number % 3 == 0 else "won") for number in range(300)]
    (deals,) = import_deals(tmp_path, pg_url, records).datasets
    assert (deals.new, deals.refused.total(), len(deals.examples)) == (200, 100, 20)
    assert [name for name, _ in stored_deals(engine, "id")] == [f"{number:03}" for number in range(300) if number % 3]
    engine.dispose()


def test_what_a_trigger_changes_is_named_and_stays(tmp_path: Path, pg_url: str) -> None:
    """It is the platform's own rule. A second import finds no change of the archive, and leaves the value."""
    engine = altered_platform(pg_url, *TRIGGER.split(";\n"))
    first = import_deals(tmp_path, pg_url, [deal("a", name="loud"), deal("b", name="LOUD")])
    (deals,) = first.datasets
    assert (deals.new, deals.altered, deals.altered_fields, first.refused) == (2, 1, {"name"}, 0)
    assert json.loads(json.dumps(deals.as_json()))["altered_fields"] == ["name"]
    second = import_deals(tmp_path, pg_url, [deal("a", name="loud"), deal("b", name="LOUD")])
    assert deal_counts(second) == (0, 1, 0, 1)
    third = import_deals(tmp_path, pg_url, [deal("a", name="louder"), deal("b", name="LOUD")])
    assert (third.conflicts, stored_deals(engine, "name")) == (1, [("a", "LOUD"), ("b", "LOUD")])
    assert undone(pg_url, first).conflicts == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            ["CREATE TYPE stages AS ENUM ('won')", "ALTER TABLE deals ALTER stage TYPE stages USING NULL"],
            "the table deals does not take the schema's types: DatatypeMismatch",
        ),
        (
            ["ALTER TABLE deals DROP stage", "ALTER TABLE deals ADD stage text GENERATED ALWAYS AS (name) STORED"],
            "the column stage of the table deals is generated",
        ),
    ],
)
def test_a_table_that_takes_no_record_is_named(
    tmp_path: Path, pg_url: str, statements: Sequence[str], message: str
) -> None:
    """Before: the type of the driver's error alone."""
    engine = altered_platform(pg_url, *statements)
    with pytest.raises(BadTarget, match=f"^{message}$"):
        import_deals(tmp_path, pg_url, [deal("a")])
    assert stored_deals(engine, "id") == []
    engine.dispose()


def test_sqlite_refuses_what_it_would_change(tmp_path: Path) -> None:
    """A column of numbers makes a float of the decimal's text; a check and a key refuse their rows."""
    url = f"sqlite:///{tmp_path}/platform.db"
    engine = altered_platform(url)
    with engine.begin() as connection:
        made = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'deals'"))
        connection.execute(text("DROP TABLE deals"))
        assert made.count("amount TEXT") == 1
        narrower = (
            made.replace("amount TEXT", "amount REAL").rstrip()[:-1] + ", CHECK (stage <> 'lost'), UNIQUE (stage))"
        )
        connection.execute(text(narrower))
        assert other_types(connection)["deals"] == {"amount"}
    records = [
        deal("a", amount="10.5"),
        deal("b", amount="1234567890123456.78"),
        deal("c", amount="10.50"),
        deal("d", stage="lost"),
        deal("e", stage="a"),
    ]
    report = import_deals(tmp_path, url, records)
    assert sorted(refused_deals(report.datasets[0])) == [
        (2, "b", "amount", "not_exact"),
        (3, "c", "amount", "not_exact"),
        (4, "d", None, "constraint"),
        (5, "e", None, "constraint"),
    ]
    assert stored_deals(engine, "amount") == [("a", 10.5)]
    engine.dispose()


def test_sqlite_replaces_no_row_of_the_platform(tmp_path: Path) -> None:
    """A constraint with ON CONFLICT REPLACE refuses a record instead of deleting the platform's own row."""
    url = f"sqlite:///{tmp_path}/platform.db"
    engine = altered_platform(url)
    with engine.begin() as connection:
        made = str(connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'deals'")))
        connection.execute(text("DROP TABLE deals"))
        connection.execute(text(made.rstrip()[:-1] + ", UNIQUE (stage) ON CONFLICT REPLACE)"))
        values = "VALUES ('own', 'ten_b', 'own', '2026-01-02 03:04:05.000006')"
        connection.execute(text(f"INSERT INTO deals (id, tenant_id, stage, created_at) {values}"))

    report = import_deals(tmp_path, url, [deal("a"), deal("b", stage="own")])
    assert refused_deals(report.datasets[0]) == [(2, "b", None, "constraint")]
    changed = import_deals(tmp_path, url, [deal("a", stage="own")])
    assert refused_deals(changed.datasets[0]) == [(1, "a", None, "constraint")]
    assert stored_deals(engine, "stage") == [("a", "a"), ("own", "own")]

    assert (changed.is_repeated, changed.import_id) == (True, report.import_id)
    undone(url, report)
    assert stored_deals(engine, "stage") == [("own", "own")]
    engine.dispose()


def test_the_schema_s_own_tables_have_its_types(pg_url: str, tmp_path: Path) -> None:
    """On both databases: no value of them is called inexact."""
    for url in (pg_url, f"sqlite:///{tmp_path}/platform.db"):
        engine = altered_platform(url)
        with engine.connect() as connection:
            assert set(other_types(connection).values()) == {frozenset()}
        engine.dispose()


def test_a_letter_that_the_database_stores_as_another_is_refused(tmp_path: Path, pg_server: servers.Postgres) -> None:
    """PostgreSQL has one code in EUC_JP for two bars: a record with the other bar is refused, the others are stored."""
    name = pg_server.create_encoded_database("EUC_JP")
    engine = altered_platform(pg_server.url(name) + "?client_encoding=utf8")

    report = import_deals(tmp_path, pg_server.url(name), [deal("a", name="\u3042"), deal("b", name="\u00a6")])

    assert refused_deals(report.datasets[0]) == [(2, "b", "name", "not_exact")]
    assert stored_deals(engine, "name") == [("a", "\u3042")]
    engine.dispose()
    pg_server.drop_database(name)


TASKS = """
    CREATE TABLE task (id text PRIMARY KEY, deal text NOT NULL REFERENCES deals (id));
    INSERT INTO task VALUES ('call back', 'b')"""


def refer_to_a_deal(engine: Engine, deferred: str = "") -> None:
    """The platform's own row that leads to the imported deal b."""
    with engine.begin() as connection:
        for statement in TASKS.replace("(id))", f"(id) {deferred})").split(";"):
            connection.execute(text(statement))


@pytest.mark.parametrize(
    ("database", "deferred"), [("sqlite", ""), ("postgresql", ""), ("postgresql", "DEFERRABLE INITIALLY DEFERRED")]
)
def test_undoing_leaves_a_row_to_which_others_refer(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, deferred: str
) -> None:
    """It is listed as kept; before, nothing could be undone. The next import finds the row that stayed."""
    is_sqlite = database == "sqlite"
    url = f"sqlite:///{tmp_path}/platform.db" if is_sqlite else request.getfixturevalue("pg_url")
    engine = altered_platform(url)
    report = import_deals(tmp_path, url, [deal("a"), deal("b"), deal("c")])
    refer_to_a_deal(engine, deferred)

    for dry_run in True, False:
        result = undone(url, report, dry_run=dry_run)
        assert (result.removed, result.conflicts) == (2, 1)
        assert [(one.table, one.id, one.fields, one.action) for one in result.kept] == [("deals", "b", (), "new")]
    assert [name for name, _ in stored_deals(engine, "id")] == ["b"]
    again = import_deals(tmp_path, url, [deal("a"), deal("b"), deal("c")])
    assert deal_counts(again)[0] == 2
    assert len(stored_deals(engine, "id")) == 3
    engine.dispose()


def test_undoing_deletes_rows_that_refer_to_each_other(tmp_path: Path, pg_url: str) -> None:
    """Deals with a key to their own table and to calls, in any order; one that an own row needs keeps what it needs."""
    engine = altered_platform(
        pg_url,
        "ALTER TABLE deals ADD FOREIGN KEY (stage) REFERENCES deals DEFERRABLE",
        "ALTER TABLE activities ADD FOREIGN KEY (deal_id) REFERENCES deals",
    )
    chain = [deal("a", stage=None), deal("b", stage="a"), deal("c", stage="b"), deal("d", stage=None)]
    activity = {"id": "act", "tenant_id": "ten_x", "kind": "note", "deal_id": "d", "occurred_at": CREATED}
    activities = table("activities", {**activity, "created_at": CREATED}, exporter="crm")
    reports = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        archive = unpacked_archive(tmp_path / name, [table("deals", *chain, exporter="crm"), activities])
        reports.append(import_as(archive, pg_url, ImportTarget(tenant="ten_a")))
    # The activity comes before its deal, and a key leads from it: it is refused, and new when it is repeated.
    assert [[(one.new, one.refused.total()) for one in report.datasets] for report in reports] == [
        [(0, 1), (4, 0)],
        [(1, 0), (0, 0)],
    ]
    refer_to_a_deal(engine)
    results = [undone(pg_url, one) for one in reversed(reports)]
    assert [name for name, _ in stored_deals(engine, "id")] == ["a", "b"]
    assert [one.id for result in results for one in result.kept] == ["b", "a"]
    engine.dispose()
