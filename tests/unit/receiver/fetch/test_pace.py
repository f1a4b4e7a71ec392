from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver.faults import SenderUnavailable
from receiver.fetch import download
from receiver.fetch.download import GOES, FetchPatience
from receiver.fetch.pace import LEAST_BYTES_PER_SECOND, WINDOW_SECONDS, Pace
from receiver.fetch.statement import AnnouncedFile, Parcel


@dataclass
class Seconds:
    """A clock that a test sets."""

    now: float = 0

    def __call__(self) -> float:
        return self.now


def test_a_slow_sender_is_ended_after_a_window() -> None:
    """Fewer bytes than the minimum over a whole window; a pause within a window is not yet slow."""
    clock = Seconds()
    pace = Pace(clock)
    clock.now = WINDOW_SECONDS - 1
    pace.note(1)
    clock.now = WINDOW_SECONDS
    with pytest.raises(SenderUnavailable, match="fewer than 1024 bytes per second"):
        pace.note(1)


def test_each_window_counts_for_itself() -> None:
    """A quick beginning does not excuse hours of single bytes."""
    clock = Seconds()
    pace = Pace(clock)
    clock.now = WINDOW_SECONDS
    pace.note(1000 * LEAST_BYTES_PER_SECOND)
    clock.now = 2 * WINDOW_SECONDS
    with pytest.raises(SenderUnavailable):
        pace.note(100)


@pytest.mark.parametrize("seconds", [59.0, 61.0, 3600.0])
def test_slow_attempts_end_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A sender that brings a byte in each attempt, and breaks off before the window ends, is not waited for either."""
    clock, goes = Seconds(), list[float]()

    def slow(_sender: object, _parcel: object, file: Any, *_others: object) -> None:
        goes.append(clock.now)
        clock.now += seconds
        file.write(b"x")

    monkeypatch.setattr(download, "_go", slow)
    file = AnnouncedFile("a.zip", 1 << 30, "0" * 64)
    ignored: Callable[[int], object] = lambda _: None  # noqa: E731  # one line
    with pytest.raises(SenderUnavailable, match="makes no progress"):
        download.fetch(
            None,  # type: ignore[arg-type]  # `_go` is replaced
            Parcel(1, file, file),
            tmp_path / "a.zip",
            FetchPatience(pause_seconds=0, clock=clock),
            ignored,
        )
    assert len(goes) == GOES
