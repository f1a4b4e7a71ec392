"""PostgreSQL: a setting of an account by which an index gives only some of the rows it leads to."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader
from sqlalchemy import make_url

from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

ROWS_OF_ANN = 2_000


def test_an_index_gives_all_rows(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """With `gin_fuzzy_search_limit` a scan of a GIN index leaves rows out at random, without an error."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    role = make_url(reader).username
    execute_all(
        owner,
        "create extension if not exists btree_gin",
        "create table orders (id integer primary key, who text)",
        f"insert into orders select n, 'ann' from generate_series(1, {ROWS_OF_ANN}) n",  # noqa: S608  # of this test alone
        "insert into orders select n, 'other ' || n from generate_series(2001, 200000) n",
        "create index by_who on orders using gin (who)",
        "analyze orders",
        f"alter role {role} set gin_fuzzy_search_limit = 5",
    )
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS)
        batches = list(exporter.export(sample_subject(SubjectKind.USER, "ann"), exporter.datasets[0], Selection()))
    execute_all(owner, f"alter role {role} reset all")

    assert [record["id"] for batch in batches for record in batch.records] == list(range(1, ROWS_OF_ANN + 1))
