"""JSON of other programs: what one program checks is what another reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portability.strict_json import DoubleName, parse

DEEP = "[" * 300 + r'{"k": "\""}' + "]" * 300
KEPT = [
    ('{"a": {"x": 1}, "b": [{"x": 2}, {"x": 3}]}', {"a": {"x": 1}, "b": [{"x": 2}, {"x": 3}]}),
    (r'{"a\u0022b": "\u0022\"\\", "\\u0022": null}', {'a"b': '""\\', r"\u0022": None}),
    ('{"": "", "A": 1, "a": 2}', {"": "", "A": 1, "a": 2}),
    (r'{"n": 18446744073709551615, "t": "\u0022"}', {"n": 18446744073709551615, "t": '"'}),
    (DEEP, json.loads(DEEP)),
]
"""JSON texts, and their values."""
TWICE = [
    '{"k": 1, "k": 2}',
    '{"k": 1, "k": 1}',
    r'{"k": 1, "\u006b": 2}',
    r'{"\u0022": 1, "\"": 2}',
    '{"": 1, "": 2}',
    r'[[{"a": {"k": "\"", "k": "\""}}]]',
    "[" * 300 + '{"k": 1, "k": 2}' + "]" * 300,
    rf'{{"k": {"9" * 300}, "k": "\u0022"}}',
]
"""Objects with a name twice."""
INVALID = ["", " ", "{no json}", "NaN", '{"n": Infinity}', "[1] [2]", '{"k": 1,}', '"\\ud800"', "[" * 2000 + "]" * 2000]
"""What is not JSON, or too deep."""


@pytest.mark.parametrize(("text", "value"), KEPT, ids=range(len(KEPT)))
def test_values_are_kept(text: str, value: Any) -> None:
    """One name in two objects, quotes in names, names that differ in case only: all values are as written."""
    assert parse(text) == parse(text.encode()) == value


@pytest.mark.parametrize("text", TWICE, ids=range(len(TWICE)))
def test_a_name_twice_is_refused(text: str) -> None:
    """Also if both values are the same, if the names are written differently, and however deep the object is."""
    for written in (text, text.encode()):
        with pytest.raises(DoubleName, match=r"^an object has a name twice$"):
            parse(written)


@pytest.mark.parametrize("text", INVALID, ids=range(len(INVALID)))
def test_invalid_json_is_refused(text: str) -> None:
    """Also what Python's own parser takes, such as NaN."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the sentence is the library's
        parse(text)
    assert not isinstance(refused.value, DoubleName)


def test_other_encodings_are_refused() -> None:
    """JSON between programs is in UTF-8, without a mark before it (RFC 8259, 8.1)."""
    for data in (b'"\xff"', b"\xef\xbb\xbf{}", '{"k": 1}'.encode("utf-16")):
        with pytest.raises(ValueError):  # noqa: PT011  # the sentence is the library's
            parse(data)


NAMES = st.text(st.sampled_from('ab"\\u0022\n\x00é'), max_size=3)
MEMBERS = st.tuples(NAMES, st.booleans())
"""Names, and whether they are written in ASCII."""


def _object(members: list[tuple[tuple[str, bool], str]]) -> str:
    written = (f"{json.dumps(name, ensure_ascii=is_ascii)}:{text}" for (name, is_ascii), text in members)
    return f"{{{','.join(written)}}}"


WRITTEN = st.recursive(
    st.sampled_from(["null", "1", "-0.5", r'"\u0022"']) | NAMES.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda texts: f"[{','.join(texts)}]")
        | st.lists(st.tuples(MEMBERS, inner), max_size=3).map(_object)
    ),
)
"""JSON texts whose objects may have a name twice."""


@given(WRITTEN)
def test_exactly_the_texts_with_a_name_twice_are_refused(text: str) -> None:
    """All others have the value that Python's own parser returns."""
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _value in pairs]
        repeated.extend(name for name in names if names.count(name) > 1)
        return dict(pairs)

    expected = json.loads(text, object_pairs_hook=members)

    try:
        assert parse(text.encode()) == expected
    except DoubleName:
        assert repeated
    else:
        assert not repeated
