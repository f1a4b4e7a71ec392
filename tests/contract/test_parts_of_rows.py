"""A row that is a part of another row comes once: it names the other row by a column that identifies it."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import mapped_sources, owner_and_reader
from sqlalchemy import create_engine

from portability.api import Selection, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

MAP = """
title = "Desk"
role = "processor"
kinds = ["tenant"]
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Tickets."
provenance = "provided"
table = "tickets"
tenant = "org"
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes of tickets."
provenance = "provided"
table = "notes"
tenant = "org"
rows = [{ column = "ticket", dataset = "tickets", key = "number", part = true }]
fields.id = { type = "integer", text = "Id." }
"""
UNIQUE = [", unique (number)", ", unique (number, org)"]
OTHERS = ["", ", unique (number, id)"]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
@pytest.mark.parametrize("constraint", [*UNIQUE, *OTHERS])
def test_a_part_names_one_row(request: pytest.FixtureRequest, database: str, constraint: str, tmp_path: Path) -> None:
    """Numbers of tickets that are unique at their tenant are enough; where two may be equal, the map is refused."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        for statement in (
            "create table tickets (id integer primary key, number integer not null, org varchar(9) not null{})",
            "create table notes (id integer primary key, ticket integer, org varchar(9))",
            "insert into tickets values (1, 5, 'org_1'), (2, 6, 'org_1')",
            "insert into notes values (1, 5, 'org_1'), (2, 6, 'org_1'), (3, 6, 'org_1')",
        ):
            connection.exec_driver_sql(statement.format(constraint))
    engine.dispose()
    company = sample_subject(SubjectKind.TENANT, "org_1")
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        if constraint in OTHERS:
            with pytest.raises(
                BadMap, match="several rows of tickets may have the same number: their parts would come"
            ):
                exporter.prepare()
            return
        batches = exporter.export(company, exporter.datasets[1], Selection())
        assert [record["id"] for batch in batches for record in batch.records] == [1, 2, 3]
