"""Numbers that MariaDB writes with zeros before them (`ZEROFILL`), and of 64 bits: a text of one is not its id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

LOOK_UP = """
[[identity]]
table = "people"
from = "user_id"
column = "id"
value = "customer"
gives = "customer"
verified = true
"""
OF_CUSTOMER = ROWS.replace('["user_id"]', '["customer"]').replace("}]", ', within = "platform" }]')


@pytest.mark.parametrize("kind", ["int(8) zerofill", "bigint(20) unsigned zerofill", "decimal(8) zerofill"])
def test_a_number_that_is_found_leads_to_its_rows(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    """An id is compared in one notation: a look-up that found `00000012` led to no row, and nothing said so."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        f"create table people (id {kind} primary key, customer {kind})",
        f"create table orders (id integer primary key, who {kind})",
        "insert into people values (7, 12)",
        "insert into orders values (1, 12), (2, 13)",
    )
    with mapped_sources() as opened:
        exporter = opened(reader, OF_CUSTOMER + LOOK_UP)
        asked = sample_subject(SubjectKind.USER, "7")
        found = tuple(exporter.identities(asked))
        (batch,) = exporter.export(
            replace(asked, identities=(*asked.identities, *found)), exporter.datasets[0], Selection()
        )

        assert [(one.kind, one.value) for one in found] == [("customer", "12")]
        assert [record["id"] for record in batch.records] == [1]


@pytest.mark.parametrize(
    ("kind", "field", "numbers"),
    [
        ("int(8) zerofill", "string", ["3", "12345678"]),
        ("int(8) zerofill", "decimal", ["0", "3"]),
        ("int(8) zerofill", "integer", ["0", "3"]),
        ("bit(64)", "string", ["b'1'", "x'8000000000000000'"]),
        ("bit(64)", "integer", ["b'1'", "x'ffffffffffffffff'"]),
    ],
)
def test_a_record_with_such_a_key_is_not_deleted(
    request: pytest.FixtureRequest, kind: str, field: str, numbers: list[str], tmp_path: Path
) -> None:
    """It is found by the key that its archive has."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        f"create table orders (number {kind} primary key, id integer, who varchar(9))",
        *(f"insert into orders values ({number}, 1, 'usr_1')" for number in numbers),  # noqa: S608  # of this test alone
    )
    with mapped_sources() as opened:
        key = f'key = ["number"]\nfields.number = {{ type = "{field}", text = "Number." }}\n'
        exporter = opened(reader, ROWS + key)
        dataset, person = exporter.datasets[0], sample_subject(SubjectKind.USER, "usr_1")
        (batch,) = exporter.export(person, dataset, Selection())
        keys = [(record["number"],) for record in batch.records]
        (again,) = exporter.export(person, dataset, Selection(keys=keys))

        assert exporter.existing(dataset, keys) == {*keys}
        assert len(again.records) == len(numbers)
