"""JSON of a source keeps its values: what the fast parser would change or drop is a text or refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.maps.exact_json import parse_column, parse_exactly
from exporters.sql.bulk import converted
from exporters.sql.values import CONVERTERS
from portability.api import FieldType

KEPT = [
    ('{"amount": 12345678901234567.89}', {"amount": "12345678901234567.89"}),
    ("[0.1000000000000000055511151231257827]", ["0.1000000000000000055511151231257827"]),
    ('{"e": 1e400, "d": -1E-400}', {"e": "1e400", "d": "-1E-400"}),
    ("[1e-99999999999999999999]", ["1e-99999999999999999999"]),
    ("[0.30000000000000004, 1.10, 1e308, 1E+5]", [0.30000000000000004, 1.1, 1e308, 100000.0]),
    ('["12345678901234567.89", "1e400"]', ["12345678901234567.89", "1e400"]),
    ("[9007199254740993, 12345678901234567890123]", [9007199254740993, 12345678901234567890123]),
    (r'{"a\u0022b": "\u0022\"\\"}', {'a"b': '""\\'}),
    (r'{"a": {"x": 1}, "b": {"x": 2}}', {"a": {"x": 1}, "b": {"x": 2}}),
]
"""JSON texts, and what is exported."""
TWICE = ['{"k": 1, "k": 2}', r'{"k": 1, "\u006b": 2}', '[[{"a": {"k": "\\"", "k": "\\""}}]]', r'{"\u0022": 1, "\"": 2}']
"""Objects with a name twice: parsers keep one of the values."""


@pytest.mark.parametrize(("text", "value"), KEPT)
def test_values_are_kept(text: str, value: Any) -> None:
    """A number that no double represents is a text with its digits; all other values are as written."""
    assert parse_exactly(text) == value
    assert list(converted(FieldType.OBJECT, ["{}", text, '{"a": 0.5}'])) == [{}, value, {"a": 0.5}]


@pytest.mark.parametrize("text", TWICE)
def test_a_name_twice_is_refused(text: str) -> None:
    """Each reader takes another of the values, so none is exported without a word."""
    for refuse in (parse_exactly, CONVERTERS[FieldType.OBJECT], lambda one: converted(FieldType.OBJECT, ["{}", one])):
        with pytest.raises(ValueError, match="twice"):
            refuse(text)


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@pytest.mark.slow
@given(st.lists(NUMBERS))
def test_no_number_is_changed(numbers: list[str]) -> None:
    """Whatever is exported for a number, read with all digits, is the number that the source has written."""
    text = f"[{','.join(numbers)}]"

    for found in (parse_exactly(text), *(parse_column([text]) or ())):
        assert isinstance(found, list)
        for one, written in zip(found, numbers, strict=True):
            assert Decimal(written) in {Decimal(str(one)), Decimal(one) if isinstance(one, float) else None}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(JSON_VALUES, st.booleans())
def test_what_is_written_is_read(value: Any, is_ascii: bool) -> None:
    """Doubles with all their digits, names and texts with quotes: everything comes back."""
    assert parse_exactly(json.dumps(value, ensure_ascii=is_ascii)) == value
