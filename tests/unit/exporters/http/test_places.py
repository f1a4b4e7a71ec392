"""Places of HTTP sources as text: what an earlier release wrote is read as it was meant."""

from __future__ import annotations

import json

import pytest

from exporters.http.places import Place, from_cursor, to_cursor

STEP = [["7", 0, ""], "token", ["1", "2"], 2]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ([], Place(("7", 0, ""), "token", ("1", "2"), 2)),
        ([None], Place(("7", 0, ""), "token", ("1", "2"), 2)),
        ([12], Place(("7", 0, ""), "token", ("1", "2"), 2, 12)),
        ([12, ["2026-01-01"]], Place(("7", 0, ""), "token", ("1", "2"), 2, 12, ("2026-01-01",))),
        ([12, [], 5, 3], Place(("7", 0, ""), "token", ("1", "2"), 2, 12, (), 5, 3)),
        ([12, [], "of a later release"], Place(("7", 0, ""), "token", ("1", "2"), 2, 12)),
    ],
)
def test_a_place_of_another_release_is_read(more: list[object], place: Place) -> None:
    """Values that it did not write are as if nothing was known; what a later release adds is left out."""
    assert from_cursor(json.dumps([[*STEP, *more]]), "calls") == (place,)
    assert from_cursor(to_cursor((place,)), "calls") == (place,)
