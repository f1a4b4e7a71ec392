from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import hostile


@pytest.mark.parametrize("text", [*hostile.TEXTS, *hostile.NAMES, hostile.huge()])
def test_every_value_fits_into_both_databases(text: str) -> None:
    """UTF-8 can carry it, and it holds no NUL, which PostgreSQL refuses."""
    assert text.encode().decode() == text
    assert "\0" not in text


@given(size=st.integers(0, 5_000))
def test_a_huge_value_has_exactly_its_size(size: int) -> None:
    """Bytes are counted in UTF-8, for any characters."""
    assert len(hostile.huge(size).encode()) == size


@pytest.mark.parametrize(
    "mark", ["=", "+", "-", "@", "\t=", "\uff1d", "'", "\n", "\r\n", '"', "\u202e", "\x1b", "\u200d"]
)
def test_each_danger_is_there(mark: str) -> None:
    """Formulas, quotes, line breaks, right-to-left, control and joining characters: none is forgotten."""
    assert any(mark in text for text in hostile.TEXTS)


def test_an_empty_value_is_there() -> None:
    """It must differ from NULL."""
    assert "" in hostile.TEXTS
