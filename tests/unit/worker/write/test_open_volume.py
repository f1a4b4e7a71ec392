"""When a volume is full."""

from __future__ import annotations

import secrets

import pytest
from volumes import CALLS, envelope

from archive.parts import Content
from archive.write.volume import Volume
from portability.api import Selection
from worker.plan.plan import ExportPlan
from worker.plan.position import Position, Reading
from worker.read.reader import SourcePatience
from worker.write.open_volume import OpenVolume, SliceJob, VolumeFull, VolumeLimits

MEMBER_BYTES = 100_000
SOUND = Content("calls", CALLS, "audio/wav")


def open_volume(members: int, *, volume_bytes: int = 1_000_000_000, volume_members: int = 1_000) -> OpenVolume:
    """A volume with incompressible members of 100,000 bytes, and one reading to read."""
    limits = VolumeLimits(volume_bytes, volume_members, piece_bytes=1_000)
    patience = SourcePatience(retries=0)
    job = SliceJob(ExportPlan((), ()), (Reading(0),), {}, {}, Selection(), limits, patience, lambda: None)
    volume = OpenVolume(job, Volume(envelope(), 1, lambda _block: None), Position())
    for number in range(members):
        volume.output.add(f"{number}.wav", [secrets.token_bytes(MEMBER_BYTES)], SOUND)
    return volume


def fits(volume: OpenVolume, members: int, size_bytes: int = 0) -> bool:
    try:
        volume.require_room(members, size_bytes)
    except VolumeFull:
        return False
    return True


def test_the_first_member_always_fits() -> None:
    """However large it is: else an export with a file larger than a volume would never get on."""
    assert fits(open_volume(0, volume_bytes=1, volume_members=1), 7, 10**12)
    assert not fits(open_volume(1, volume_bytes=1, volume_members=1), 1)


@pytest.mark.parametrize(("members", "expected"), [(0, True), (8, True), (9, False)])
def test_members_are_counted(members: int, expected: bool) -> None:
    """Up to the limit, which is still allowed."""
    assert fits(open_volume(2, volume_members=10), members) is expected


@pytest.mark.parametrize(("size_bytes", "expected"), [(0, True), (90_000, True), (100_001, False)])
def test_bytes_are_counted_as_they_are_announced(size_bytes: int, expected: bool) -> None:
    """A file goes into the next volume if its stated size does not fit into the rest of this volume."""
    assert fits(open_volume(1, volume_bytes=2 * MEMBER_BYTES), 1, size_bytes) is expected


def test_a_volume_that_has_its_bytes_takes_nothing_more() -> None:
    """Also not what has no size."""
    assert not fits(open_volume(1, volume_bytes=MEMBER_BYTES), 0)


def test_a_slice_is_read_when_the_position_is_behind_its_last_reading() -> None:
    """The position says so by itself: it is the same value that the row gets."""
    volume = open_volume(0)
    assert not volume.is_read
    volume.position = Position(reading=1)
    assert volume.is_read
