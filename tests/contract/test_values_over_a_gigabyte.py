"""Values and rows that PostgreSQL cannot send: it gives no value more than 1 GB, also within a view."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api import Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import sample_subject


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("repeat('x', 2000000000)", "ProgramLimitExceeded 54000"),
        ("to_char(timestamp '2026-12-02', repeat('x', 90000000))", "InternalError_ XX000"),
    ],
)
def test_a_value_that_needs_more_than_a_gigabyte_is_named(
    request: pytest.FixtureRequest, tmp_path: Path, value: str, seen: str
) -> None:
    """The account has all rights that it needs. The server needs twelve bytes for each letter of a form of times."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create table kept (id integer primary key, who varchar(9))",
        "insert into kept values (1, 'ann')",
        f"create view orders as select id, who, {value} as word from kept",  # noqa: S608  # of this test alone
    )
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS + 'fields.word = { text = "Value." }')
        batches = exporter.export(sample_subject(SubjectKind.USER, "ann"), exporter.datasets[0], Selection())
        with pytest.raises(SourceRefused, match=f"orders: .*{seen}") as refused:
            list(batches)

    hint = "is a value or a row larger than 1 GB as a text? PostgreSQL cannot send it: name a view without it"
    assert refused.value.hint == hint
