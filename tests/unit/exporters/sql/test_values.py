from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.reference import schema
from exporters.sql.values import CONVERTERS, NOT_JSON, exact, rfc3339
from portability.api import FieldType
from portability.testing.values import is_of


def test_a_time_keeps_zone_and_microseconds() -> None:
    """A time is written in UTC with all its digits, from any time zone."""
    jakarta = datetime(2026, 11, 24, 15, 30, 0, 120, tzinfo=timezone(timedelta(hours=7)))
    assert rfc3339(jakarta) == "2026-11-24T08:30:00.000120Z"
    assert rfc3339(datetime(26, 1, 2, tzinfo=UTC)) == "0026-01-02T00:00:00.000000Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_written_exactly(moment: datetime) -> None:
    """The written time is read back as the same moment, and is a DATETIME by the public suite."""
    assert datetime.fromisoformat(rfc3339(moment)) == moment
    assert is_of(FieldType.DATETIME, rfc3339(moment))


@given(st.datetimes(timezones=st.just(UTC)), st.booleans())
def test_a_time_as_databases_write_it(moment: datetime, with_zone: bool) -> None:
    """`2026-11-24 08:30:00.5+00` of PostgreSQL, and fixed digits without zone on SQLite: the same moment."""
    plain = moment.replace(tzinfo=None)
    short = plain.isoformat(" ").rstrip("0") if plain.microsecond else plain.isoformat(" ")
    written = f"{short}+00" if with_zone else plain.isoformat(" ", "microseconds")
    assert CONVERTERS[FieldType.DATETIME](written) == rfc3339(moment)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_every_digit(number: Decimal) -> None:
    """A decimal has the digits that the database wrote, with zeros at the end."""
    assert CONVERTERS[FieldType.DECIMAL](format(number, "f")) == format(number, "f")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FieldType.NUMBER, math.nan),
        (FieldType.NUMBER, -math.inf),
        (FieldType.NUMBER, True),
        (FieldType.DECIMAL, "NaN"),
        (FieldType.DECIMAL, "Infinity"),
        (FieldType.DECIMAL, "1e5"),
        (FieldType.DECIMAL, 1.5),
        (FieldType.STRING, b"bytes"),
        (FieldType.INTEGER, True),
        (FieldType.INTEGER, "1"),
        (FieldType.BOOLEAN, 2),
        (FieldType.BOOLEAN, "true"),
        (FieldType.DATETIME, datetime(2026, 1, 1, tzinfo=UTC)),
        (FieldType.DATETIME, "2026-01-01 07:00:00+07"),
        (FieldType.DATETIME, "2026-01-01 00:00:00.5+07"),
        (FieldType.DATETIME, "2026-01-01"),
        (FieldType.DATETIME, "2026-01-01T08:30+01"),
        (FieldType.DATETIME, "2026-01-01T08+01:00"),
        (FieldType.DATETIME, "2026-01-01T083000.1"),
        (FieldType.DATETIME, "2026-01-01 083000.1+00"),
        (FieldType.DATETIME, "20260101 08:30:00.5+00"),
        (FieldType.DATETIME, "2026-W01-1 08:30:00"),
        (FieldType.DATETIME, "2026-01-01 08:30:00,5"),
        (FieldType.DATETIME, "2026-01-01 08:30:00\u0662"),
        (FieldType.DATETIME, "2026-02-30 08:30:00+00"),
        (FieldType.DATETIME, "10000-01-01 00:00:00+00"),
        (FieldType.DATETIME, "0044-03-15 00:00:00+00 BC"),
        (FieldType.DATETIME, "infinity"),
        (FieldType.DATE, datetime(2026, 1, 1, tzinfo=UTC)),
        (FieldType.DATE, "infinity"),
        (FieldType.DATE, "2026-02-30"),
        (FieldType.OBJECT, {"a": 1}),
        (FieldType.OBJECT, '{"deep": [1, NaN]}'),
        (FieldType.OBJECT, '{"deep": [12345678901234567890, NaN]}'),
        (FieldType.OBJECT, r'{"text": "\ud800"}'),
        (FieldType.OBJECT, r'{"text": "\ud800", "long": 12345678901234567890}'),
        (FieldType.OBJECT, "[" * 202 + "]" * 202),
        (FieldType.OBJECT, "{"),
        (FieldType.OBJECT, b"{}"),
        (FieldType.OBJECT, math.inf),
    ],
)
def test_what_json_cannot_carry_is_refused(kind: FieldType, value: object) -> None:
    """NaN, infinities, bytes, times that are not in UTC or that RFC 3339 cannot write: never changed into another."""
    with pytest.raises(NOT_JSON):
        CONVERTERS[kind](value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (
            FieldType.STRING,
            "nul \0, bell \a, \N{RIGHT-TO-LEFT MARK}\r\n",
            "nul \0, bell \a, \N{RIGHT-TO-LEFT MARK}\r\n",
        ),
        (FieldType.STRING, "", ""),
        (FieldType.INTEGER, 2**63 - 1, 2**63 - 1),
        (FieldType.NUMBER, 3, 3.0),
        (FieldType.DATE, "2026-02-28", "2026-02-28"),
        (FieldType.BOOLEAN, False, False),
        (FieldType.BOOLEAN, 1, True),
        (FieldType.DATETIME, "2026-11-24 08:30:00.5+00", "2026-11-24T08:30:00.500000Z"),
        (FieldType.DATETIME, "2026-11-24T08:30:00.123456789Z", "2026-11-24T08:30:00.123456Z"),
        (FieldType.OBJECT, '{"a": [null, 1180591620717411303424, "b"]}', {"a": [None, 2**70, "b"]}),
        (FieldType.OBJECT, r'{"a": 1180591620717411303424, "b": "caf\u00e9"}', {"a": 2**70, "b": "café"}),
        (FieldType.OBJECT, '{"a": 0.1}', {"a": 0.1}),
        (FieldType.OBJECT, "null", None),
        (FieldType.OBJECT, 0, 0),
        (FieldType.OBJECT, -0.5, -0.5),
    ],
)
def test_values_pass_unchanged(kind: FieldType, value: object, expected: object) -> None:
    """Control characters, empty texts and big integers pass as they are."""
    assert CONVERTERS[kind](value) == expected
    assert is_of(kind, CONVERTERS[kind](value))


def test_statements_of_different_columns_are_kept_apart() -> None:
    """SQLAlchemy caches compiled statements: a column that is read as text must not use another column's."""
    cost, custom = (exact(column)._generate_cache_key() for column in (schema.calls.c.cost, schema.calls.c.custom))

    assert cost is not None
    assert cost != custom
