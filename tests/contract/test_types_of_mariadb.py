"""Types of MariaDB that the library does not know: JSON, which is a condition on a text, and vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import Selection, SubjectKind
from portability.database.engine import READING
from portability.testing import sample_subject


def test_columns_of_json_are_drafted_as_objects(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Also with a further condition, and with a name in quotes; another condition on a text makes no JSON of it."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        "create table users (id integer primary key, custom json, `a``b` json not null,"
        " extra text check (json_valid(extra) and length(extra) < 100), plain text check (length(plain) > 1),"
        " unsure text check (json_valid(unsure) or unsure = 'none'))",
    )
    backend, address = kind_of(reader, "url")
    engine = open_database(backend, address, 60)
    with engine.connect().execution_options(**READING) as connection:
        text = draft(propose(connection, "users", kind=SubjectKind.USER, title="Shop"))
    engine.dispose()

    objects = [line.split(" = ")[0].removeprefix("# ") for line in text.splitlines() if 'type = "object"' in line]
    assert objects == ["custom", "a_b", "extra"]


def test_a_vector_is_delivered_as_its_numbers(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The library fails at a type that it does not know and that has a number; then no table of the source was read."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        "create table orders (id integer primary key, who varchar(9), v vector(2) not null)",
        "insert into orders values (1, 'usr_1', vec_fromtext('[0.1,-2]'))",
    )
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS + 'fields.v = { text = "Numbers." }')
        batches = exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection())

        assert [one["v"] for batch in batches for one in batch.records] == ["[0.1,-2]"]
        assert exporter.check().faults == 0
