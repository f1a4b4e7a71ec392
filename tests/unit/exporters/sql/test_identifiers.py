"""Identities are compared by their bytes, and only with columns that can contain them."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Column, Enum, Integer, Text, Uuid
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from exporters.sql.identifiers import fitting, is_among

MARIADB, POSTGRESQL = mysql.dialect(), postgresql.dialect()  # type: ignore[no-untyped-call]  # the library's own
ID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (Text(), ["7", " 7", ""], ["7", " 7", ""]),
        (BigInteger(), ["7", "007", " 7", "seven", "-7", "7.0", "\N{ARABIC-INDIC DIGIT SEVEN}", "1_0"], [7, -7]),
        (BigInteger(), ["None", "True", "nan", "-0", "+7", "", "1" * 5000], []),
        (Uuid(as_uuid=False), [ID, ID.upper(), f"{{{ID}}}", "x"], [ID]),
        (Enum("open", "done", name="state"), ["open", "OPEN"], ["open"]),
    ],
    ids=["text", "number", "no number", "UUID", "enumeration"],
)
def test_what_a_column_can_contain(kind: TypeEngine[object], values: list[str], expected: list[object]) -> None:
    """A number or UUID in another notation is another identity: it is not asked for."""
    assert list(fitting(Column("value", kind), values)) == expected


def test_one_value_and_several_make_the_same_statement() -> None:
    """Statements are compiled by a worker before its first job, whatever the number of a person's ids will be."""
    for kind, values in ((Text(), ["a", "b"]), (Integer(), [1, 2])):
        column = Column("value", kind)
        one, several = (is_among(column, some) for some in (values[:1], values))
        assert one._generate_cache_key() == several._generate_cache_key()  # what the library compares


def test_bytes_are_compared() -> None:
    """MariaDB and columns of PostgreSQL that ignore case compare bytes; elsewhere the equality is that of bytes."""
    plain = is_among(Column("value", Text()), ["a", "b"])
    assert "BINARY" in str(plain.compile(dialect=MARIADB))
    assert "CAST" not in str(plain.compile(dialect=POSTGRESQL))
    folding = is_among(Column("value", postgresql.CITEXT()), ["a"])
    assert str(folding.compile(dialect=POSTGRESQL)).startswith("CAST(value AS TEXT) IN (")
