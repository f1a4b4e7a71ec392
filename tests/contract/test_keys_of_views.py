"""Views in which rows of several people have one key, such as a union of two tables with counters of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

TICKETS = """
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Your tickets."
provenance = "provided"
table = "tickets"
rows = [{ column = "who", identities = ["user_id"] }]
fields.id = { type = "integer", text = "Id." }
"""
SEVERAL = ROWS.replace("}]", '}, { column = "ticket", dataset = "tickets" }]') + 'fields.body = { text = "Text." }\n'
BY_PARENT = """
[[dataset]]
name = "marks"
title = "Marks"
description = "Marks of your orders."
provenance = "provided"
table = "marks"
rows = [{ column = "body", dataset = "orders", key = "body" }]
fields.id = { type = "integer", text = "Id." }
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_a_row_with_the_key_of_another_person_is_not_delivered(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """Two ways are united by the keys of their rows: the rows of usr_2 have the keys of rows of usr_1.

    Nor are rows that lead to them delivered, and usr_2 gets the own rows.
    """
    owner, reader = owner_and_reader(request, database, tmp_path)
    columns = "id integer primary key, who varchar(9), ticket integer, body varchar(9)"
    execute_all(
        owner,
        *(f"create table {name} ({columns})" for name in ("calls", "mails")),
        "create table tickets (id integer primary key, who varchar(9))",
        "create table marks (id integer primary key, body varchar(9))",
        "insert into tickets values (5, 'usr_1')",
        "insert into calls values (1, 'usr_1', null, 'one'), (2, null, 5, 'two'), (3, 'usr_1', 5, 'three')",
        "insert into mails values (1, 'usr_2', null, 'other'), (2, 'usr_2', 4, 'another'), (4, null, 5, 'four')",
        "insert into marks values (1, 'one'), (2, 'other'), (3, 'another'), (4, 'four')",
        "create view orders as select * from calls union all select * from mails",
        *(["grant select on orders to public"] if database == "postgresql" else []),
    )
    with mapped_sources() as opened:
        exporter = opened(reader, SEVERAL + TICKETS + BY_PARENT)

        def delivered(person: str, number: int, field: str) -> list[object]:
            subject, dataset = sample_subject(SubjectKind.USER, person), exporter.datasets[number]
            batches = list(exporter.export(subject, dataset, Selection()))
            found = [record[field] for batch in batches for record in batch.records]
            assert exporter.count(subject, dataset, Selection()).records == len(found)
            return sorted(found, key=str)

        assert delivered("usr_1", 0, "body") == ["four", "one", "three", "two"]
        assert delivered("usr_1", 2, "id") == [1, 4]
        assert delivered("usr_2", 0, "body") == ["another", "other"]
