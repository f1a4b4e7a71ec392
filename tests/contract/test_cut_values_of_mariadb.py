"""Values that MariaDB cuts, or gives as NULL, with a warning alone: they are read in another way, or nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
import servers
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api import JSON, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
PACKET, USUAL_PACKET = 1 << 20, 1 << 24
"""Bytes of a packet: those of the server while it is read, and its default, with which the rows are stored."""
LONG, HALF = 1_200_000, 600_000
"""Letters of a text that is larger than a packet, and of one whose bytes in hexadecimal digits are."""
EARLY, LATE = 3, 700
"""A row of the first page, and one behind the pages that are read in one message."""
WORD = 'fields.word = { text = "Value." }'
ReadStored: TypeAlias = Callable[[str, list[str]], Sequence[dict[str, JSON]]]


@pytest.fixture
def read_stored(
    request: pytest.FixtureRequest, tmp_path: Path, mariadb_server: servers.MariaDB
) -> Iterator[ReadStored]:
    """Makes tables, and reads Ann's records of `orders` by fields after the server got a smaller limit."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)

    def read(fields: str, made: list[str]) -> Sequence[dict[str, JSON]]:
        execute_all(owner, *made)
        mariadb_server.execute(f"set global max_allowed_packet = {PACKET}")
        with mapped_sources() as opened:
            exporter = opened(reader, ROWS + fields)
            batches = exporter.export(ANN, exporter.datasets[0], Selection())
            return [dict(one) for batch in batches for one in batch.records]

    yield read
    mariadb_server.execute(f"set global max_allowed_packet = {USUAL_PACKET}")


def test_a_value_may_be_larger_than_a_packet(read_stored: ReadStored) -> None:
    """JSON, and a text in a character set that Unicode does not keep, are not written by a function of the database."""
    saved, word = f"""concat('{{"a":"', repeat('x', {LONG}), '"}}')""", f"repeat('y', {HALF})"
    found = read_stored(
        f'fields.saved = {{ type = "object", text = "Value." }}\n{WORD}',
        [
            "create table orders (id integer primary key, who varchar(9), saved json, word text(9999999) charset sjis)",
            f"insert into orders values (1, 'ann', {saved}, {word})",  # noqa: S608  # of this test alone
        ],
    )

    assert found == [{"id": 1, "saved": {"a": "x" * LONG}, "word": "y" * HALF}]


@pytest.mark.parametrize("row", [EARLY, LATE])
@pytest.mark.parametrize(
    "view",
    [
        "select id, who, concat(word, word) as word from words",
        "select id, who, group_concat(word) as word from words, (select 1 union select 2) two group by id, who",
    ],
)
def test_a_view_that_loses_a_value_is_refused(read_stored: ReadStored, view: str, row: int) -> None:
    """What a function of a view gives is NULL, or the beginning of a text, where it is larger than a packet."""
    made = [
        "create table words (id integer primary key, who varchar(9), word longtext)",
        f"insert into words select seq, 'ann', if(seq = {row}, repeat('x', {HALF}), 'x') from seq_1_to_{LATE}",  # noqa: S608  # of this test alone
        f"create view orders as {view}",
    ]
    with pytest.raises(SourceRefused) as refused:
        read_stored(WORD, made)

    hint = "a value that a view computes is larger than `max_allowed_packet` of the server: raise it"
    assert refused.value.hint == hint


def test_a_view_may_follow_many_rows(read_stored: ReadStored) -> None:
    """A recursive view had the rows of 1000 steps, which is the limit of a server by default."""
    steps = "select id, who from one where id = 1 union all select one.id, one.who from one join t on one.id = t.id + 1"
    found = read_stored(
        "",
        [
            "create table one (id integer primary key, who varchar(9))",
            "insert into one select seq, 'ann' from seq_1_to_1500",
            f"create view orders as with recursive t as ({steps}) select * from t",  # noqa: S608  # of this test alone
        ],
    )

    assert [one["id"] for one in found] == list(range(1, 1501))
