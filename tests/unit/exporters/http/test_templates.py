"""Placeholders within a grammar: values of a list are quoted one by one, and the bounds of a window need no quotes."""

from __future__ import annotations

import pytest

from exporters.http import templates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Id IN ({ids|soql})", r"Id IN ('a\'b','7')"),
        ("[{ids|json}]", '["a\'b","7"]'),
        ("Id IN ({one|soql})", "Id IN ('7')"),
        ("CreatedDate >= {since}", "CreatedDate >= 2026-01-01T00:00:00Z"),
    ],
)
def test_a_grammar_takes_lists_and_bounds(text: str, expected: str) -> None:
    """SOQL takes several values in one condition, and times without quotes."""
    names = {"ids": ["a'b", "7"], "one": "7", "since": "2026-01-01T00:00:00Z"}

    assert list(templates.faults(text)) == []
    assert templates.fill(text, names) == expected


def test_a_list_without_a_filter_is_refused_in_a_grammar() -> None:
    assert list(templates.faults("Id IN ({ids})")) == [
        "{ids} stands within a text: a filter must quote it, such as quoted:'\\"
    ]
