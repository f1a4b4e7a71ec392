"""`rows_parallel`: the rows of `rows_jsonl` exported in slices by two processes, compared with one process."""

from __future__ import annotations

import multiprocessing
import time

from bench.figures import Figure, interleaved
from bench.rows import LONG_ROWS, ROWS, USER, StoredRows, place_in
from bench.surroundings import surroundings

SLICE_BYTES = 32 << 20
"""The default, 4 GiB, would not cut a million rows: it is the same for both sides."""
WAIT_SECONDS = 0.02
FORK = multiprocessing.get_context("fork")


def measure(*, long: bool) -> Figure:
    """Measure seconds from the first claim to ready, with JSON Lines only."""
    rows = LONG_ROWS if long else ROWS
    with surroundings() as around, place_in(around, rows, slice_bytes=SLICE_BYTES) as place:
        return interleaved(
            "rows_parallel", lambda: _exported(place, 2), lambda: _exported(place, 1), target=0.75, n=5 if long else 3
        )


def _exported(place: StoredRows, workers: int) -> float:
    """Return the seconds. This process only requests: it has no open connection that a worker could inherit."""
    identifier = place.made.request(f"user:{USER}", formats=["jsonl"])
    place.made.engine.dispose()
    processes = [FORK.Process(target=_work, args=(place, identifier)) for _ in range(workers)]
    began = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - began
    view = place.made.view(identifier)
    if (view["state"], view["datasets"][0]["records"]) != ("ready", place.rows):
        raise RuntimeError(f"export {identifier} is {view['state']}")
    return seconds


def _work(place: StoredRows, identifier: str) -> None:
    """Work until the export has ended; until its plan is stored there is nothing for a second worker."""
    while not place.made.view(identifier)["ended_at"]:
        if not place.made.advance_all():
            time.sleep(WAIT_SECONDS)
