"""A column that has e-mail addresses beside ids: an address is compared without ASCII case, an id by its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_sources, owner_and_reader
from sqlalchemy import create_engine, text

from portability.api import Identity, Selection, SubjectKind
from portability.testing import sample_subject

SEVERAL = """rows = [
  { column = "who", identities = ["user_id", "email"] },
  { through = [{ table = "buyers", here = "order_id" }], column = "name", identities = ["email", "user_id"] },
]"""
MAP = ROWS.replace('rows = [{ column = "who", identities = ["user_id"] }]', SEVERAL)
WHO: list[str | None] = [
    "Ann@Mail.example",
    "ann@mail.example",
    "usr_Ann",
    "usr_ann",
    "USR_ANN",
    "bob@mail.example",
    None,
]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_each_kind_is_compared_in_its_form(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """Orders 0 to 6 name their owner themselves, orders 10 to 16 by another table."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table orders (id integer primary key, who varchar(40))")
        connection.exec_driver_sql("create table buyers (order_id integer, name varchar(40))")
        own = [{"id": place, "who": name} for place, name in enumerate(WHO)]
        through = [{"id": 10 + place, "who": name} for place, name in enumerate(WHO)]
        connection.execute(text("insert into orders values (:id, :who)"), own)
        connection.execute(text("insert into orders values (:id, null)"), through)
        connection.execute(text("insert into buyers values (:id, :who)"), through)
    engine.dispose()
    address = Identity("requests", "email", "ANN@mail.example", verified=True)
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        batches = exporter.export(
            sample_subject(SubjectKind.USER, "usr_Ann", address), exporter.datasets[0], Selection()
        )
        assert [record["id"] for batch in batches for record in batch.records] == [0, 1, 2, 10, 11, 12]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_a_column_of_numbers_has_no_address(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """Of the kinds that a map names for it only the ids count."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table orders (id integer primary key, who integer)")
        connection.exec_driver_sql("create table buyers (order_id integer, name integer)")
        connection.exec_driver_sql("insert into orders values (1, 7), (2, 8)")
    engine.dispose()
    address = Identity("requests", "email", "ann@mail.example", verified=True)
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        batches = exporter.export(sample_subject(SubjectKind.USER, "7", address), exporter.datasets[0], Selection())
        assert [record["id"] for batch in batches for record in batch.records] == [1]
