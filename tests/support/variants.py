"""How pages are pictured: few pictures that show each pair of room, size, colour scheme and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple

from portability.locale import languages

SIZES = {"desktop": (1200, 850), "phone": (390, 844)}
SCHEMES = ("light", "dark")


class Variant(NamedTuple):
    """How one picture is taken."""

    size: str
    scheme: str
    language: str


VARIANTS = [Variant(*values) for values in product(SIZES, SCHEMES, languages())]


def varied(rooms: Sequence[str], *, first: int = 0) -> list[Variant]:
    """Return a variant for each picture of a room: the one with most pairs that no earlier picture has.

    Where several have as many, the one that was used least, then the next in order; `first` begins the order elsewhere.
    """
    order = [*VARIANTS[first % len(VARIANTS) :], *VARIANTS[: first % len(VARIANTS)]]
    seen: set[tuple[str, str]] = set()
    used: Counter[Variant] = Counter()
    chosen = []
    for room in rooms:
        best = max(order, key=lambda one: (len(pairs(room, one) - seen), -used[one]))
        seen |= pairs(room, best)
        used[best] += 1
        chosen.append(best)
    return chosen


def pairs(room: str, variant: Variant) -> set[tuple[str, str]]:
    """Return the pairs of values that a picture shows."""
    return {*combinations((room, *variant), 2)}
