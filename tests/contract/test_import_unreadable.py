"""Rows of a target whose values its columns in the schema cannot be: other programs have written them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import Engine, create_engine

from exporters.reference import schema
from receiver.binding.target import ImportTarget
from receiver.importer.faults import BadTarget
from receiver.ledger.merge import OnConflict

SECRET = "kept-to-ourselves"
CASES = [
    ("sqlite", "deals", "amount", f"'{SECRET}'"),
    ("sqlite", "deals", "closed_at", f"'{SECRET}'"),
    ("sqlite", "deals", "closed_at", "5"),
    ("sqlite", "contacts", "custom", f"'{{{SECRET}'"),
    ("sqlite", "deals", "stage", "CAST(x'6b6570e9' AS TEXT)"),
    ("sqlite", "deals", "stage", "x'6b6579'"),
    ("postgresql", "deals", "closed_at", "'infinity'"),
    ("postgresql", "deals", "closed_at", "'0044-03-15 00:00:00 BC'"),
    ("postgresql", "deals", "closed_at", "'12026-03-15 00:00:00+00'"),
]


@pytest.fixture
def own_platform(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> Iterator[tuple[str, Engine]]:
    """The receiving platform with its tables, without a row."""
    url = f"sqlite:///{tmp_path}/platform.db" if kind == "sqlite" else request.getfixturevalue("pg_url")
    engine = create_engine(url)
    schema.metadata.create_all(engine)
    yield url, engine
    engine.dispose()


@pytest.mark.parametrize(("kind", "name", "column", "value"), CASES)
def test_a_value_of_another_type_is_named_by_its_column(
    tmp_path: Path, own_platform: tuple[str, Engine], name: str, column: str, value: str
) -> None:
    """An import and its undoing end with one line, which does not repeat the value, and change nothing."""
    url, engine = own_platform
    record = {"id": "a", "tenant_id": "ten_x", "created_at": CREATED} | ({"stage": "new"} if name == "deals" else {})
    archive = unpacked_archive(tmp_path, [table(name, record, exporter="crm")])
    first = import_as(archive, url, ImportTarget(tenant="ten_a"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {name} SET {column} = {value}")  # noqa: S608  # constants

    with pytest.raises(BadTarget, match=f"the column {column} of the table {name}") as refused:
        import_as(archive, url, ImportTarget(tenant="ten_a"), on_conflict=OnConflict.TAKE)
    with pytest.raises(BadTarget, match=f"the column {column} of the table {name}") as kept:
        undone(url, first)

    with engine.begin() as connection:
        rows = f"SELECT count(*) FROM {name} WHERE {column} = {value}"  # noqa: S608  # constants
        assert connection.exec_driver_sql(rows).scalar() == 1
    assert SECRET not in f"{refused.value}{refused.value.hint}{kept.value}"
