"""Names of files: as the key of the record is written, and never the same for two keys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from exporters.maps.file_stems import file_stem

UUIDS = ["550e8400-e29b-41d4-a716-446655440000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"]
PIECES = ["a", "-", UUIDS[0], "2026-01-02"]


@pytest.mark.parametrize(
    "key",
    [
        ["a-b-c"],
        [7, 12],
        [-7, -12],
        ["a", "b-c"],
        [*UUIDS, "x"],
        ["2026-01-02T03:04:05.678Z", "a"],
        ["2026-01-02", UUIDS[0]],
        [True, None, ""],
    ],
    ids=["one part", "numbers", "negative", "last part", "UUIDs", "time", "date", "others"],
)
def test_a_key_whose_parts_are_seen_is_the_name(key: Sequence[object]) -> None:
    """The parts with hyphens between them, as archives have always named these files."""
    assert file_stem(key) == "-".join(map(str, key))


def test_a_key_whose_parts_are_not_seen_has_a_hash() -> None:
    """Of two keys that would give one name, one keeps it."""
    assert [file_stem(key) for key in (["a", "b-c"], ["a-b", "c"])] == ["a-b-c", "a-b-c-97a167673bea"]


@pytest.mark.parametrize(("parts", "pieces"), [(2, 3), (3, 2)])
def test_different_keys_have_different_names(parts: int, pieces: int) -> None:
    """Whatever hyphens, numbers, dates and UUIDs their parts have."""
    texts = {"".join(one) for count in range(pieces + 1) for one in product(PIECES, repeat=count)}
    keys = list(product(sorted(texts), repeat=parts))
    assert len({file_stem(key) for key in keys}) == len(keys)
