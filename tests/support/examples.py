"""How many random examples a costly property test has."""

from __future__ import annotations

from hypothesis import settings

USUAL = 40
"""Examples of a test that names no number, in `make test`."""


def examples(number: int) -> int:
    """Return a number of examples for `make test`, and as many times more for a profile with more."""
    return max(1, number * settings().max_examples // USUAL)
