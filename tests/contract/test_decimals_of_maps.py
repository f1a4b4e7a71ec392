"""Numbers with all their digits: columns of `money` of PostgreSQL, and of decimals of SQLite, in fields of a map."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql import pages
from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
FIELD = 'fields.{0} = {{ column = "{0}", type = "{1}", text = "Value." }}\n'


@pytest.mark.parametrize("kind", ["decimal", "string"])
def test_money_is_a_number(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """The server writes a currency, and signs of its own for the parts of the number, that the value does not have."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create domain fee as money",
        "create table orders (id integer primary key, who text, paid money, fee fee, parts money[])",
        "insert into orders values (1, 'ann', 1234567.5, '-0.05', array[1234.5, null]::money[])",
        "insert into orders values (2, 'ann', '-92233720368547758.08', null, '{}')",
    )
    fields = "".join(FIELD.format(*one) for one in (("paid", kind), ("fee", kind), ("parts", "object")))
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS + fields)
        (batch,) = exporter.export(ANN, exporter.datasets[0], Selection())

        assert batch.gaps == ()
        assert [dict(record) for record in batch.records] == [
            {"id": 1, "paid": "1234567.50", "fee": "-0.05", "parts": [1234.5, None]},
            {"id": 2, "paid": "-92233720368547758.08", "fee": None, "parts": []},
        ]


# The library says that its own type does not name its operators.
@pytest.mark.filterwarnings("ignore:Type object:sqlalchemy.exc.SADeprecationWarning")
def test_rows_are_read_in_the_order_of_money(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column of the order that is a field, too: each row arrives once, also where each page has one row."""
    monkeypatch.setattr(pages, "FIRST_ROWS", (1,))
    monkeypatch.setattr(pages, "BATCH_ROWS", 1)
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create table orders (id integer primary key, who text, paid money not null unique)",
        "insert into orders values (1, 'ann', 1234567.5), (2, 'ann', '-1234.5'), (3, 'ann', 0), (4, 'ann', 12.5)",
    )
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS + FIELD.format("paid", "decimal") + 'order = ["paid"]\n')
        batches = list(exporter.export(ANN, exporter.datasets[0], Selection()))

        assert [(record["id"], record["paid"]) for batch in batches for record in batch.records] == [
            (2, "-1234.50"),
            (3, "0.00"),
            (4, "12.50"),
            (1, "1234567.50"),
        ]


@pytest.mark.parametrize("column", ["numeric", "decimal(12, 2)", "money"])
@pytest.mark.parametrize("order", ["id", "v"])
def test_decimals_of_sqlite_are_delivered(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, order: str
) -> None:
    """SQLite stores them as integers and doubles: each is written with the digits that it needs to be the same."""
    monkeypatch.setattr(pages, "FIRST_ROWS", (1,))
    monkeypatch.setattr(pages, "BATCH_ROWS", 2)
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    execute_all(
        owner,
        f"create table orders (id integer primary key, who text, v {column} not null unique)",
        "insert into orders values (1, 'ann', -3), (2, 'ann', 0.1 + 0.2), (3, 'ann', '12.50')",
        "insert into orders values (4, 'ann', 1234567.89), (5, 'ann', 9007199254740992), (6, 'ann', 9007199254740993)",
        "insert into orders values (7, 'ann', 'none'), (8, 'ann', x'3132')",
    )
    with mapped_sources() as opened:
        exporter = opened(reader, f'{ROWS}{FIELD.format("v", "decimal")}order = ["{order}"]\n')
        batches = list(exporter.export(ANN, exporter.datasets[0], Selection()))

        assert [(record["id"], record["v"]) for batch in batches for record in batch.records] == [
            (1, "-3"),
            (2, "0.30000000000000004"),
            (3, "12.5"),
            (4, "1234567.89"),
            (5, "9007199254740992"),
            (6, "9007199254740993"),
            (7, None),
            (8, None),
        ]
        assert [(gap.key, gap.reason, gap.fields) for batch in batches for gap in batch.gaps] == [
            ((7,), "not_json", ("v",)),
            ((8,), "not_json", ("v",)),
        ]
