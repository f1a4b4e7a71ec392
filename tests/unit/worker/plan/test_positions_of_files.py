"""Places within a file that several volumes have: they count for the version of the file whose parts are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from portability.api import File
from portability.requests.slices import stored_version
from worker.plan.position import OpenFiles, Position, Reading, version_of

FOUND = File("a.wav", "audio/wav", 9, lambda offset: iter([bytes(9)[offset:]]), "1")


@pytest.mark.parametrize(
    "stated",
    [{"etag": "2"}, {"etag": None}, {"sha256": "0" * 64}, {"size": 8}, {"modified": datetime(2026, 11, 1, tzinfo=UTC)}],
)
def test_a_place_is_not_in_another_version(stated: dict[str, Any]) -> None:
    """Whatever the source states of the content says so."""
    opened = OpenFiles("next", part=1, offset=5, version=version_of(FOUND))
    assert opened.is_of(replace(FOUND, media_type="audio/mpeg"))
    assert not opened.is_of(replace(FOUND, **stated))


def test_a_place_without_a_part_is_in_any_version() -> None:
    """Nothing of the file is written, or an earlier release wrote its parts."""
    assert OpenFiles("next", version=version_of(FOUND)).is_of(replace(FOUND, etag="2"))
    assert OpenFiles("next", part=1, offset=5).is_of(FOUND)
    assert not OpenFiles("next", part=1, offset=5, version="1").behind("a.wav").version


@pytest.mark.parametrize("place", [Position, Reading])
def test_only_a_place_within_a_file_needs_this_release(place: type[Position | Reading]) -> None:
    """A worker of an earlier release can read no other names than its own, and claims no row of a later version."""
    known = {"resume", "last", "part", "offset", "records", "wanted"}
    before, within = OpenFiles("next", last="a.wav"), OpenFiles("next", part=1, offset=5, version="1")
    assert {*place(0, files=before).to_json()["files"]} == known
    assert {*place(0, files=within).to_json()["files"]} == known | {"version"}
    assert stored_version([place(0, files=before).to_json()]) == {}
    assert stored_version([place(0, files=within).to_json()]) == {"version": 3}
    assert Position.from_json(Position(files=within).to_json()).files == within
