"""`rss`, `rss_growth`: the maximum memory of a real worker for an export that consists mostly of recordings.

All recordings are one file under many names: the source needs no space, and every byte is read, compressed and sent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from small_exports import PLAN, instructed
from sqlalchemy import Engine, create_engine, func, insert, select
from workers import children

from bench.figures import Figure
from bench.stack import BenchStack, stack
from bench.surroundings import surroundings
from demo.plan import Examples
from demo.seed import seed
from exporters.reference.schema import recordings
from portability.law.profiles import Profile
from portability.requests.forms import offered_formats
from portability.storage import open_storage

MB = 1_000_000
FILE_BYTES = 10 * MB
SMALL_FILES, LARGE_FILES = 10, 50
"""Enough that the 18 MiB buffers of an upload are full in both."""
LONG_SMALL_FILES, LONG_LARGE_FILES = 100, 1_000
TARGET_MB = 220
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class GrowingContact:
    """A stack, and one contact whose number of recordings grows."""

    running: BenchStack
    whose: Examples
    source: Engine
    folder: Path

    def peak_mb(self, files: int) -> float:
        """Return the maximum memory of the worker's largest process while it exports `files` recordings."""
        self._record(files)
        asked = {"tenant": self.whose.contact_tenant, "formats": offered_formats(Profile.ACCESS)}
        subject = f"contact:{self.whose.contact}"
        return _peak_bytes(self.running.worker_pid, lambda: self.running.export(subject, **asked)) / MB

    def _record(self, files: int) -> None:
        with self.source.begin() as connection:
            known = connection.scalar(select(func.count()).select_from(recordings)) or 0
            first = connection.execute(select(recordings).order_by(recordings.c.id).limit(1)).mappings().one()
            sound = self.folder / "sound"
            if not sound.exists():
                sound.write_bytes(os.urandom(FILE_BYTES))
            changes = {"bytes": FILE_BYTES, "sha256": None}
            names = [f"rec_bench_{number:06}" for number in range(known, files)]
            connection.execute(
                insert(recordings), [{**first, **changes, "id": name, "storage_key": name} for name in names]
            )
            for name in names:
                (self.folder / name).hardlink_to(sound)


def measure(*, long: bool) -> Figure:
    """Measure MB, compared with the limit."""
    with _place() as place:
        return Figure("rss", place.peak_mb(LONG_SMALL_FILES if long else LARGE_FILES), TARGET_MB, 1.0, "MB", 1)


def measure_growth(*, long: bool) -> Figure:
    """Measure MB with ten times the recordings (short: five times), compared with fewer."""
    few, many = (LONG_SMALL_FILES, LONG_LARGE_FILES) if long else (SMALL_FILES, LARGE_FILES)
    with _place() as place:
        small = place.peak_mb(few)
        return Figure("rss_growth", place.peak_mb(many), small, 1.05, "MB", 1)


@contextmanager
def _place() -> Iterator[GrowingContact]:
    with surroundings() as around:
        url = around.postgres.url(around.postgres.create_database())
        folder = around.folder / "recordings"
        whose = seed(url, open_storage(folder.as_uri()), PLAN).examples
        source = create_engine(url)
        with stack(around, SOURCE_URL=url, RECORDINGS_URL=folder.as_uri()) as running:
            instructed(running.made.engine, whose)
            yield GrowingContact(running, whose, source, folder)
        source.dispose()


def _peak_bytes(worker: int, run: Callable[[], object]) -> int:
    """Return the highest resident set of the worker and of each process that it forks, from the kernel's VmHWM."""
    over, peaks = threading.Event(), [0]

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            for pid in (worker, *children(worker)):
                with suppress(OSError, StopIteration):  # the process has just ended
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    peaks.append(next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")))

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    run()
    over.set()
    watching.join()
    return max(peaks)
