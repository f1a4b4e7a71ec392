"""Columns of a page: converted together as each value alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from exporters.http.columns import column_reader
from exporters.http.expressions import column_finder, find
from exporters.http.forms import HttpFieldForm
from exporters.http.values import converter
from exporters.maps.forms import TimesForm
from portability.api import FieldType

TIMES = st.sampled_from(
    [
        "2026-10-01T10:00:00Z",
        "2026-10-01T10:00:00.12Z",
        "2026-10-01T10:00:00.1234567Z",
        "2026-10-01T10:00:00+02:00",
        "2026-10-01 10:00:00Z",
        "2026-W40-4T10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-10-01",
    ]
)
NUMBERS = st.integers() | st.decimals(allow_nan=False) | st.just(Decimal("1e999"))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text() | st.just("\ud800") | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=3,
)
COLUMNS = st.one_of(
    *(
        st.lists(kind | st.none(), max_size=6)
        for kind in (TIMES, NUMBERS, st.text(), st.booleans(), st.lists(VALUES), VALUES)
    )
)


@given(values=COLUMNS, kind=st.sampled_from(FieldType))
@example(values=["2026-10-01T10:00:00Z", "", None, "2026-10-01T10:00:00.5Z"], kind=FieldType.DATETIME)
@example(values=[1, 10**400, Decimal("0.5")], kind=FieldType.NUMBER)
@example(values=[["a"], "", "\ud800"], kind=FieldType.OBJECT)
def test_a_column_has_the_values_that_its_items_have_alone(values: list[Any], kind: FieldType) -> None:
    """Converting together changes no value and no type, and leaves out exactly the values that do not fit."""
    convert, expected, faulty = converter(kind, TimesForm()), [], []
    for number, value in enumerate(values):
        try:
            expected.append(convert(value))
        except ValueError:
            expected.append(None)
            faulty.append(number)

    found, numbers = column_reader("a.b", HttpFieldForm(type=kind, text="x"), TimesForm())(
        [{"a": {"b": value}} for value in values], {}
    )

    assert [(type(value), value) for value in found] == [(type(value), value) for value in expected]
    assert list(numbers) == faulty


@given(
    expression=st.sampled_from(["a", "a.b", "a.b[0]", "a | b"]),
    values=st.lists(st.fixed_dictionaries({"a": VALUES | st.fixed_dictionaries({"b": VALUES})}) | VALUES, max_size=6),
)
def test_a_column_is_found_as_each_value(expression: str, values: list[Any]) -> None:
    """Items without the path, texts, numbers and lists have null in every column."""
    assert column_finder(expression)(values) == [find(expression, value) for value in values]
