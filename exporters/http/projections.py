"""The list that an answer has, where an expression of the map takes only some of its items."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from exporters.http.expressions import MapExpression, compiled

LISTS = frozenset({"field", "subexpression", "index_expression", "or_expression", "current"})
"""Nodes that find a list as it is in the answer."""


def listed(expression: str, answer: Any, items: Sequence[Any]) -> int:  # noqa: ANN401  # any JSON value
    """Return how many items the list of an answer has of which an expression has found some.

    A filter (`a[?b]`) and a name that some lack (`a[].b`) leave items out, which the source counts all the same.
    """
    whole = _whole(expression)
    found = whole.search(answer) if whole else items
    return max(len(found), len(items)) if isinstance(found, list) else len(items)


@lru_cache(maxsize=4096)
def _whole(expression: str) -> MapExpression | None:
    """Return the expression of the whole list; None: the expression takes all, or a list of lists."""
    node = compiled(expression).parsed
    if node["type"] not in {"projection", "filter_projection"}:
        return None
    source = node["children"][0]
    if source["type"] == "flatten":
        source = source["children"][0]
    return MapExpression(expression, source) if source["type"] in LISTS else None
