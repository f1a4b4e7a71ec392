"""MariaDB has no type for JSON, only a condition: a draft proposes such a column as an object."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import execute_all, owner_and_reader

from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import SubjectKind
from portability.database.engine import READING


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
