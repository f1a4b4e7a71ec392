"""Geometry of charts that are drawn as SVG on the server: columns by month, and a bar for each of several things.

All lengths are shares of 100; a template draws them and names them in the visitor's language. A count that a rounded
report does not name (None) is drawn as two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FEW_DRAWN = 2
WHOLE = 100.0
LEAST = 1.5
"""Of a part that is not empty: it is visible."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a column or bar."""

    series: str
    begin: float
    """From the bottom of the column, or from the beginning of the bar."""
    length: float
    value: int | None
    """None: few."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A column or a bar."""

    name: str
    blocks: Sequence[Block]
    """Those that are not empty."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns or bars with the same scale."""

    series: Sequence[str]
    stacks: Sequence[Stack]
    most: int | None
    """The sum of the longest column or bar; 0: all are empty; None: it has a count that is not named."""
    most_name: str

    @property
    def step(self) -> float:
        """Return the width of a column with its gap."""
        return WHOLE / max(1, len(self.stacks))


def chart(names: Sequence[str], series: Mapping[str, Sequence[int | None]]) -> Chart:
    """Return a chart of series that have a value for each name; the values of one name are stacked."""
    drawn = {each: [FEW_DRAWN if value is None else value for value in values] for each, values in series.items()}
    sums = [sum(drawn[each][place] for each in series) for place in range(len(names))]
    most = max(sums, default=0)
    stacks = []
    for place, name in enumerate(names):
        begin, blocks = 0.0, []
        for each, values in series.items():
            if length := drawn[each][place] and max(drawn[each][place] / most * WHOLE, LEAST):
                # The least lengths may make a column longer than its scale.
                blocks.append(Block(each, round(min(begin, WHOLE - length), 2), round(length, 2), values[place]))
                begin += length
        stacks.append(Stack(name, blocks))
    longest = sums.index(most) if names else 0
    is_named = all(values[longest] is not None for values in series.values()) if most else True
    return Chart([*series], stacks, most if is_named else None, names[longest] if names else "")
