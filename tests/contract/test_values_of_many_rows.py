"""A value is the same in the first rows of a dataset and behind them, where PostgreSQL joins whole columns."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_sources, owner_and_reader
from sqlalchemy import create_engine, text

from portability.api import Selection, SubjectKind
from portability.api.rows import Rows
from portability.testing import sample_subject

COUNT = 700
"""More rows than the first two pages have (64 and 512)."""
USER = sample_subject(SubjectKind.USER, "usr_1")


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
@pytest.mark.parametrize(
    ("column", "stored", "kind", "expected"),
    [
        ("integer", "1", "boolean", True),
        ("integer", "0", "boolean", False),
        ("smallint", "1", "boolean", True),
        ("integer", "5", "boolean", None),
        ("varchar(40)", "2026-02-28 08:30:00+00", "datetime", "2026-02-28T08:30:00.000000Z"),
        ("varchar(40)", "2026-02-30 08:30:00+00", "datetime", None),
        ("varchar(40)", "abcd-ef-gh ij:kl:mn+00", "datetime", None),
        ("char(6)", "a", "string", {"postgresql": "a     ", "mysql": "a", "sqlite": "a"}),
    ],
)
@pytest.mark.parametrize("has_nulls", [False, True])
def test_every_row_has_the_same_value(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    column: str,
    stored: str,
    kind: str,
    expected: object,
    *,
    has_nulls: bool,
) -> None:
    """Truths in integers, times in texts, and texts with blanks at their end: in values, in lines and in gaps."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"create table orders (id integer primary key, who varchar(9), v {column})")
        is_number = column.endswith("int") or column == "integer"
        rows = [
            {"id": n, "v": None if has_nulls and n % 2 else int(stored) if is_number else stored} for n in range(COUNT)
        ]
        connection.execute(text("insert into orders values (:id, 'usr_1', :v)"), rows)
    engine.dispose()
    wanted = expected[database] if isinstance(expected, dict) else expected
    with mapped_sources() as opened:
        exporter = opened(reader, f'{ROWS}fields.v = {{ type = "{kind}", text = "Value." }}\n')
        batches = list(exporter.export(USER, exporter.datasets[0], Selection()))
    values = [repr(record["v"]) for batch in batches for record in batch.records]
    written = [batch.records.lines for batch in batches if isinstance(batch.records, Rows)]
    lines = [repr(json.loads(line)["v"]) for part in written for line in bytes(part).splitlines()]
    nulls = COUNT // 2 if has_nulls else 0
    counted = Counter({repr(None): nulls}) + Counter({repr(wanted): COUNT - nulls})
    assert Counter(values) == counted
    assert Counter(lines) == counted
    gaps = [gap for batch in batches for gap in batch.gaps]
    assert len(gaps) == (0 if wanted is not None else COUNT - nulls)
