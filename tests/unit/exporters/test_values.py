from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.values import CONVERTERS, NOT_JSON, bytes_of, rfc3339
from portability.api import FieldType
from portability.testing.values import is_of


def test_a_time_keeps_zone_and_microseconds() -> None:
    """A time is told in UTC with all its digits, whatever zone it came in."""
    jakarta = datetime(2026, 11, 24, 15, 30, 0, 120, tzinfo=timezone(timedelta(hours=7)))
    assert rfc3339(jakarta) == "2026-11-24T08:30:00.000120Z"
    assert rfc3339(datetime(26, 1, 2, tzinfo=UTC)) == "0026-01-02T00:00:00.000000Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_told_exactly(moment: datetime) -> None:
    """What is told reads back as the same moment, and is a DATETIME by the public suite."""
    assert datetime.fromisoformat(rfc3339(moment)) == moment
    assert is_of(FieldType.DATETIME, rfc3339(moment))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_every_digit(number: Decimal) -> None:
    """A decimal is told without exponent and with the digits it had, zeros at the end included."""
    told = CONVERTERS[FieldType.DECIMAL](number)
    assert isinstance(told, str)
    assert "E" not in told
    assert Decimal(told) == number
    assert number.as_tuple().exponent not in range(-30, 1) or Decimal(told).as_tuple() == number.as_tuple()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FieldType.NUMBER, math.nan),
        (FieldType.NUMBER, -math.inf),
        (FieldType.NUMBER, True),
        (FieldType.DECIMAL, Decimal("NaN")),
        (FieldType.DECIMAL, Decimal("Infinity")),
        (FieldType.DECIMAL, 1.5),
        (FieldType.STRING, b"bytes"),
        (FieldType.INTEGER, True),
        (FieldType.INTEGER, "1"),
        (FieldType.BOOLEAN, 1),
        (FieldType.DATETIME, datetime(2026, 1, 1)),  # noqa: DTZ001  # the fault that is tested
        (FieldType.DATETIME, "2026-01-01T00:00:00Z"),
        (FieldType.DATE, datetime(2026, 1, 1, tzinfo=UTC)),
        (FieldType.DATE, "2026-01-01"),
        (FieldType.OBJECT, {"deep": [1, math.nan]}),
        (FieldType.OBJECT, {"text": "\ud800"}),
        (FieldType.OBJECT, {"bytes": b""}),
    ],
)
def test_what_json_cannot_carry_is_refused(kind: FieldType, value: object) -> None:
    """NaN, infinities, bytes, times without zone and values of other types are never changed into something else."""
    with pytest.raises(NOT_JSON):
        CONVERTERS[kind](value)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (
            FieldType.STRING,
            "nul \0, bell \a, \N{RIGHT-TO-LEFT MARK}\r\n",
            "nul \0, bell \a, \N{RIGHT-TO-LEFT MARK}\r\n",
        ),
        (FieldType.STRING, "", ""),
        (FieldType.INTEGER, 2**63 - 1, 2**63 - 1),
        (FieldType.NUMBER, 3, 3.0),
        (FieldType.DATE, date(2026, 2, 28), "2026-02-28"),
        (FieldType.BOOLEAN, False, False),
        (FieldType.OBJECT, {"a": [None, 2**70, "b"]}, {"a": [None, 2**70, "b"]}),
    ],
)
def test_values_pass_unchanged(kind: FieldType, value: object, told: object) -> None:
    """Control characters, empty texts and big integers pass as they are."""
    assert CONVERTERS[kind](value) == told
    assert is_of(kind, CONVERTERS[kind](value))


def test_the_estimate_grows_with_the_content() -> None:
    """A batch is bounded by an estimate that sees large texts and large JSON values alike."""
    assert bytes_of({"text": "x" * 5000}) > 5000
    assert bytes_of({"json": {"list": ["x" * 10] * 500}}) > 5000
    assert bytes_of({"none": None, "number": 1}) < 50
