"""`growth`: the cost of one more record in a large export, compared with a small one; and of one more file.

The fixed cost of an export is measured with a table of one row, and subtracted from both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from factories import MadeUpExporter, described, file, things, world

from bench import rows
from bench.figures import Figure
from bench.surroundings import surroundings
from portability.api import File

ROWS = (20_000, 200_000)
LONG_ROWS = (100_000, 10_000_000)
FILES = (1, 1_000)
LONG_FILES = (1, 1_000, 10_000, 100_000)
BATCH_FILES = 100
SOUND = b"RIFF" + bytes(60)


def measure(*, long: bool) -> Figure:
    """Measure microseconds for one more row; also print the cost of one more file."""
    for count in LONG_FILES if long else FILES:
        print(f"{count} files: {_of_files(count) / count * 1e6:.0f} us each", flush=True)
    few, many = LONG_ROWS if long else ROWS
    n = 1 if long else 3
    with ExitStack() as opened:
        around = opened.enter_context(surroundings())
        nearly_none, small, large = (opened.enter_context(rows.place_in(around, count)) for count in (1, few, many))
        once = median(_seconds(nearly_none) for _ in range(5))
        times = [(_seconds(large), _seconds(small)) for _ in range(n)]
    ours, theirs = (median(side) for side in zip(*times, strict=True))
    return Figure("growth", (ours - once) / many * 1e6, (theirs - once) / few * 1e6, 1.05, "us", n)


def _seconds(place: rows.StoredRows) -> float:
    return rows.export(place, ["jsonl"])


def _of_files(count: int) -> float:
    """Return the seconds for an export of `count` files of 64 bytes, from memory into a folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        exporter = MadeUpExporter(things(count), batch_records=BATCH_FILES, files=_Files(count))
        built = world(folder, {"made": exporter}, notice_dir=described(folder / "notice", "made/things"))
        identifier = built.request()
        began = time.perf_counter()
        built.advance_all()
        seconds = time.perf_counter() - began
        view = built.view(identifier)
        built.engine.dispose()
    if (view["state"], view["datasets"][0]["files"]) != ("ready", count):
        raise RuntimeError(f"export {identifier} is {view['state']}")
    return seconds


@dataclass(frozen=True, slots=True)
class _Files(Mapping[int, Sequence[File]]):
    """The files of each batch, made on demand: a hundred thousand at once would need too much memory."""

    count: int

    def __getitem__(self, batch: int) -> Sequence[File]:
        begin = batch * BATCH_FILES
        return [file(f"{number:07}.wav", SOUND) for number in range(begin, min(begin + BATCH_FILES, self.count))]

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return (self.count + BATCH_FILES - 1) // BATCH_FILES
