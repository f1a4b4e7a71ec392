from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from demo.plan import SeedPlan
from portability.api.errors import BadInput


def test_equal_plans_have_equal_tags() -> None:
    """Numbers that are equal make the same data, whether they were typed with a point or without."""
    assert SeedPlan().tag == SeedPlan().tag
    assert SeedPlan(recording_seconds=(6, 45)).tag == SeedPlan(recording_seconds=(6.0, 45.0)).tag


@pytest.mark.parametrize("name", [field.name for field in fields(SeedPlan)])
def test_any_difference_makes_another_tag(name: str) -> None:
    """Data of different plans can never share an id, so they can stand side by side."""
    value = getattr(SeedPlan(), name)
    changed: dict[str, Any] = {name: (7.0, 8.0) if isinstance(value, tuple) else value * 2}
    assert replace(SeedPlan(), **changed).tag != SeedPlan().tag


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenants": 0},
        {"users": 0},
        {"contacts": 0},
        {"calls": -1},
        {"recordings": -1},
        {"recording_seconds": (0, 1)},
        {"recording_seconds": (5, 4)},
        {"recording_seconds": (1, float("inf"))},
        {"recording_seconds": (float("nan"), 1)},
        {"recording_rate_hz": 0},
        {"tenants": 10**20},
        {"messages_per_chat": 10**6},
        {"events": 10**9},
        {"hostile_share": 1.1},
    ],
)
def test_an_impossible_plan_is_bad_input(wrong: dict[str, Any]) -> None:
    """It is refused before anything is touched."""
    with pytest.raises(BadInput):
        SeedPlan(**wrong)
