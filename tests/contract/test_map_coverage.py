"""The check of an SQL map: what its database has beside it, what is gone, and what the account may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from decided_crm import DECIDED, CheckedDatabase
from source_accounts import ROWS, execute_all, mapped_sources
from sqlalchemy import Text

from exporters.maps.reading import MapText
from exporters.sql.mapped.catalogue import FoundColumn, FoundTable
from exporters.sql.mapped.database_faults import database_faults
from exporters.sql.mapped.kind import kind
from portability.api import CheckingExporter, CoverageKind
from portability.api.coverage import UNDECIDED
from portability.api.errors import BadMap


@pytest.fixture
def database(pg_server: servers.Postgres) -> Iterator[CheckedDatabase]:
    name = pg_server.create_database()
    made = CheckedDatabase(pg_server, name)
    yield made
    made.close()
    pg_server.drop_database(name)


def test_a_map_that_decides_on_everything_has_no_finding(database: CheckedDatabase) -> None:
    """All columns are decided and signed, all queries run, and the account cannot write."""
    exporter = database.exporter()

    assert isinstance(exporter, CheckingExporter)
    assert exporter.check().findings == ()
    assert exporter.declaration.tables >= {"contacts", "users", "django_migrations"}


def test_what_is_new_is_undecided(database: CheckedDatabase) -> None:
    """A column of a dataset's table, a table, a view and a table of another schema, each with its columns."""
    database.run(
        "alter table contacts add fax text; create table calls (id bigint primary key, who text);"
        "create view recent as select id, email from contacts; create schema audit; create table audit.log (id bigint)"
    )
    coverage = database.exporter().check()

    assert [(str(one.kind), one.table, one.column, one.dataset, one.columns) for one in coverage.findings] == [
        ("undecided_table", "audit.log", "", "", 1),
        ("undecided_table", "calls", "", "", 2),
        ("undecided_column", "contacts", "fax", "contacts", 1),
        ("undecided_table", "recent", "", "", 2),
    ]
    assert coverage.undecided == 6
    assert next(one.detail for one in coverage.findings if one.column == "fax") == "text, personal"
    details = {one.table: one.detail for one in coverage.findings if not one.column}
    assert details == {"audit.log": "1 column", "calls": "2 columns", "recent": "view, 2 columns"}


def test_a_decision_about_a_schema_covers_its_tables(database: CheckedDatabase) -> None:
    """`schema.*` among the internal tables is about each of them, and not about other schemas."""
    database.run("create schema audit; create table audit.log (id bigint); create table public.log (id bigint)")

    assert database.findings(f'{DECIDED}"audit.*" = "the log of the database"\n') == [
        ("undecided_table", "log", "", "")
    ]


def test_what_is_listed_as_undecided_is_undecided(database: CheckedDatabase) -> None:
    """A name in `undecided` is not a decision, of a column or of a table."""
    text = DECIDED.replace('django_migrations = "state of the software"\n', "").replace(', "django_migrations"', "")
    text = text.replace('updated_at = { type = "datetime", text = "When it was changed, in UTC." }\n', "", 1)
    text = text.replace('created = "created_at"\n', 'created = "created_at"\nundecided = ["updated_at"]\n', 1)
    text = text.replace("[tables]\n", '[tables]\nundecided = ["django_migrations"]\n')

    assert database.findings(text) == [
        ("undecided_column", "contacts", "updated_at", "contacts"),
        ("undecided_table", "django_migrations", "", ""),
    ]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("alter table contacts drop last_name", ("missing_column", "contacts", "last_name", "contacts")),
        ("drop table comment", ("missing_table", "comment", "", "comment")),
        (
            "alter table opportunity alter amount type timestamptz using now()",
            ("wrong_type", "opportunity", "", "opportunity"),
        ),
        ("revoke select on comment from {reader}", ("query_refused", "comment", "", "comment")),
        (
            "alter table comment drop constraint comment_pkey",
            ("unfit", "comment", "", "comment"),
        ),
    ],
    ids=["column", "table", "type", "right", "order"],
)
def test_what_no_longer_fits_is_a_fault(
    database: CheckedDatabase, statement: str, expected: tuple[str, str, str, str]
) -> None:
    """Each fault names the table and the dataset that it costs."""
    database.run(statement.format(reader=database.reader))

    assert expected in database.findings()


def test_remarks_cost_no_data(database: CheckedDatabase) -> None:
    """A table without a signature is a remark."""
    unsigned = DECIDED.replace('"opportunity", "comment", ', "")

    assert sorted(database.findings(unsigned, remarks=True)) == [
        ("unsigned", "comment", "", "comment"),
        ("unsigned", "opportunity", "", "opportunity"),
    ]


def test_a_finding_says_what_to_do(tmp_path: Path) -> None:
    """The hint of a fault stands behind it, as where a worker refuses the map: a finding alone leads nowhere."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    execute_all(url, "create table orders (id integer not null, who text, is_gone numeric(1), unique (id))")
    text = ROWS.replace("[[dataset]]", '[[dataset]]\ndeleted = "is_gone"') + 'fields.whoo = { text = "Name." }\n'
    with mapped_sources() as opened:
        findings = opened(url, f'{text}join = {{ table = "people", here = "id", key = "who" }}\n').check().findings
    details = {one.kind: one.detail for one in findings}

    assert details[CoverageKind.MISSING_COLUMN] == "the nearest name is 'who'"
    assert "the account may lack the right to see it" in details[CoverageKind.MISSING_TABLE]
    seen = "'is_gone' of orders is numeric(1), not a time or truth value"
    hint = "name a view that writes it as a truth value; for times as numbers write [times] is_gone = "
    assert details[CoverageKind.UNFIT].startswith(f"{seen} ({hint}")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("deleted", "name a view that writes it as a truth value, such as (is_gone = 'Y') AS is_gone"),
        ("created", "name a view that has it as a time"),
    ],
)
def test_a_text_that_is_no_mark_has_a_hint(key: str, hint: str) -> None:
    """`Y`, `X` or `trash` are a mark for people alone, who have to say what they mean."""
    found = {"orders": FoundTable({name: FoundColumn(Text(), "text", nullable=False) for name in ("id", "is_gone")})}
    form = kind.parse(MapText("shop.toml", ROWS.replace("[[dataset]]", f'[[dataset]]\n{key} = "is_gone"'))).form

    faults = [one for one in database_faults(form, "postgresql", found) if "is_gone" in one.message]
    assert [one.hint for one in faults] == [hint]


def test_a_map_without_dataset_is_read(tmp_path: Path) -> None:
    """As a draft is of which a person has to decide on each table: the check lists them."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    execute_all(url, "create table orders (id integer primary key)")
    with mapped_sources() as opened:
        exporter = opened(url, 'title = "Shop"\nrole = "controller"\nkinds = ["user"]\n')
        exporter.prepare()

        assert [(one.kind, one.table) for one in exporter.check().findings] == [
            (CoverageKind.UNDECIDED_TABLE, "orders")
        ]


def test_an_order_without_index_is_a_remark(database: CheckedDatabase) -> None:
    """Each page of such a dataset sorts; an index on the column that selects the rows and the order ends that."""
    text = DECIDED.replace('created = "created_at"\n', 'created = "created_at"\norder = ["created_at", "id"]\n', 1)

    assert database.findings(text, remarks=True) == [("no_index", "contacts", "", "contacts")]
    database.run("create index on contacts (org_id, created_at, id)")
    assert database.findings(text, remarks=True) == []


def test_a_draft_is_a_map_that_exports_nothing(database: CheckedDatabase) -> None:
    """Everything in it is undecided, and it offers no dataset. Rows that are hidden are its only fault."""
    exporter = database.exporter(database.draft("contacts"))
    coverage = exporter.check()

    assert exporter.datasets == ()
    assert coverage.undecided == 34
    faults = [one for one in coverage.findings if one.kind not in UNDECIDED]
    assert {(one.kind, one.detail.partition(" hides")[0]) for one in faults} == {
        (CoverageKind.UNFIT, "row-level security")
    }
    assert {one.dataset for one in coverage.findings if one.kind in UNDECIDED} == {""}


def test_a_dataset_is_exported_when_one_of_its_columns_is_decided(database: CheckedDatabase) -> None:
    """A decision about one dataset of a draft opens this dataset alone; its other columns stay undecided."""
    text = database.draft("contacts")
    begin = text.index('name = "contacts"')
    taken = (
        text[begin:].replace('    "id",\n', "", 1).replace("# [dataset.fields]\n# id =", "[dataset.fields]\nid =", 1)
    )
    exporter = database.exporter(text[:begin] + taken)

    assert [one.name for one in exporter.datasets] == ["contacts"]
    assert {one.dataset for one in exporter.check().findings if one.table == "contacts"} == {"contacts"}


def test_a_decision_names_what_the_map_decides_on() -> None:
    """A decision about a name that the map does not have is a fault, with its line."""
    with pytest.raises(BadMap, match=r"crm.toml:11:1: the map decides on no 'contact.email'"):
        kind.parse(MapText("crm.toml", DECIDED.replace('["contacts"', '["contact.email", "contacts"')))
