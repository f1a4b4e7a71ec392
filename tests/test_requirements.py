"""docs/requirements.md is what the tests prove."""

from __future__ import annotations

import re

import pytest
from requirement_list import PAGE, REQUIREMENTS, page, proofs

PROMISED = [name for name in REQUIREMENTS if int(name[1:]) <= 36]
"""What a copy is and how it comes about; the others are about what surrounds it."""


def test_the_page_is_what_the_tests_say() -> None:
    """Written again it is the same: `make docs` does it."""
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("name", PROMISED)
def test_each_point_is_proved(name: str) -> None:
    """By at least one test, whose docstring says what it proves."""
    proved = proofs().get(name, ())

    assert proved
    assert all(proof.rule for proof in proved)


def test_no_test_names_an_unknown_point() -> None:
    """A typing error would be a proof of nothing."""
    assert set(proofs()) <= set(REQUIREMENTS)
    assert all(re.fullmatch(r"R\d+", name) for name in REQUIREMENTS)
