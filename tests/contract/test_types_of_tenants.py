"""The tenants of two rows are compared by columns of one type: a database may take different values for equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader

from portability.api.errors import BadMap

DATASET = """
[[dataset]]
name = "{0}"
title = "{0}"
description = "Rows."
provenance = "provided"
table = "{0}"
tenant = "org"
rows = [{1}]
{2}
[dataset.fields]
id = {{ type = "integer", text = "Id." }}
"""
OWN = '{ column = "who", identities = ["contact_id"] }'
WAYS = {
    "a parent": ('{ column = "ticket", dataset = "tickets" }', ""),
    "a step": ('{ through = [{ table = "tickets", here = "id", key = "ticket", tenant = "org" }], ' + OWN[2:], ""),
    "a join": (
        OWN.replace("who", "ticket"),
        'join = { table = "tickets", here = "id", key = "ticket", tenant = "org" }',
    ),
}


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
@pytest.mark.parametrize("way", WAYS)
def test_tenants_of_different_types_are_refused(
    request: pytest.FixtureRequest, database: str, way: str, tmp_path: Path
) -> None:
    """MariaDB takes the company `1x` for the company 1. Integers of two sizes are one type."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    made = "create table {} (id integer primary key, org {}, who integer, ticket integer)"
    tables = [made.format("tickets", "integer"), made.format("notes", "varchar(9)"), made.format("marks", "bigint")]
    execute_all(owner, *tables)
    head = 'title = "Desk"\nrole = "processor"\nkinds = ["contact"]\n' + DATASET.format("tickets", OWN, "")
    with mapped_sources() as opened:
        opened(reader, head + DATASET.format("marks", *WAYS[way])).prepare()
        exporter = opened(reader, head + DATASET.format("notes", *WAYS[way]))
        with pytest.raises(BadMap, match=r"notes.org \(varchar.*\) and tickets.org \(int.*\) have different types"):
            exporter.prepare()
