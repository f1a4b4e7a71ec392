"""Columns converted as a whole: the same result as for their values one by one."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sql.bulk import converted
from exporters.sql.values import CONVERTERS, NOT_JSON
from portability.api import FieldType


def as_postgresql_writes(moment: datetime) -> str:
    whole, _, fraction = moment.isoformat(" ", "microseconds").removesuffix("+00:00").partition(".")
    return f"{whole}.{fraction.rstrip('0')}".rstrip(".") + "+00"


TIMES = st.datetimes(timezones=st.just(UTC)).map(as_postgresql_writes)
WHOLE_SECONDS = st.datetimes(timezones=st.just(UTC)).map(lambda t: as_postgresql_writes(t.replace(microsecond=0)))
NEARLY_TIMES = st.text("0123456789-: .+T\nWBC", min_size=20, max_size=30) | st.sampled_from(
    [
        "2026-W48-2 08:30:00.123456+00",
        "2026-13-01 08:30:00+00",
        "2026-11-24T08:30:00.123456+00",
        "0044-03-15 00:00:00+00 BC",
        "12026-11-24 08:30:00.12345+00",
        "2026-11-24 08:30:00.123456+07",
        "20261124 08:30:00.5+00",
        "2026-11-24 083000.1+00",
        "2026-11-24 08:30:00,12345+00",
        "infinity",
    ]
)
DECIMALS = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True)
OBJECTS = st.sampled_from(
    ["{}", "[1, 2.5, null]", '{"a": 12345678901234567890}', "{", '{"a": 1', '"b": 2}', "NaN", "[" * 202 + "]" * 202]
)
COLUMNS = {
    FieldType.STRING: st.text() | st.integers() | st.binary(),
    FieldType.INTEGER: st.integers() | st.booleans() | st.text(),
    FieldType.NUMBER: st.floats() | st.integers(),
    FieldType.BOOLEAN: st.booleans() | st.integers(0, 2),
    FieldType.DECIMAL: DECIMALS | st.sampled_from(["NaN", "Infinity", "1e5", "1\n2", ".5", "5.", "1-2", ""]),
    FieldType.DATETIME: TIMES | NEARLY_TIMES,
    FieldType.DATE: st.dates().map(str) | st.just("infinity"),
    FieldType.OBJECT: OBJECTS | st.integers(),
}


@pytest.mark.parametrize("kind", COLUMNS)
@given(st.data())
def test_a_column_is_converted_as_its_values_are(kind: FieldType, data: st.DataObject) -> None:
    """For any content, and NULL anywhere; one value that JSON cannot represent, and the column is refused."""
    column = data.draw(st.lists(st.none() | COLUMNS[kind]))
    try:
        wanted = [None if value is None else CONVERTERS[kind](value) for value in column]
    except NOT_JSON:
        with pytest.raises(NOT_JSON):
            converted(kind, column)
    else:
        assert list(map(repr, converted(kind, column))) == list(map(repr, wanted))


@pytest.mark.parametrize("times", [TIMES, WHOLE_SECONDS, WHOLE_SECONDS | TIMES], ids=["fractions", "seconds", "mixed"])
@given(st.data())
def test_times_as_postgresql_writes_them(times: st.SearchStrategy[str], data: st.DataObject) -> None:
    """With six, with fewer and with no digits behind the second, alone and mixed."""
    column = data.draw(st.lists(times))

    assert list(converted(FieldType.DATETIME, column)) == [CONVERTERS[FieldType.DATETIME](time) for time in column]


@pytest.mark.parametrize(
    "column",
    [["a", None, ""], [1, None, 2**62], [True, None], [0.5, None, -1e308], []],
    ids=["text", "integers", "booleans", "numbers", "nothing"],
)
def test_plain_values_are_not_touched(column: list[object]) -> None:
    """A column of values that already are JSON needs only one check."""
    kinds = {str: FieldType.STRING, int: FieldType.INTEGER, bool: FieldType.BOOLEAN, float: FieldType.NUMBER}
    kind = kinds[type(column[0])] if column else FieldType.STRING

    assert converted(kind, column) is column


def test_a_sum_that_overflows_is_no_infinity() -> None:
    """Finite numbers whose sum is too large are exported all the same; an infinity is not."""
    assert converted(FieldType.NUMBER, [1e308, 1e308]) == [1e308, 1e308]
    with pytest.raises(NOT_JSON):
        converted(FieldType.NUMBER, [1.0, math.inf])
