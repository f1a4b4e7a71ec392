"""`scan`: the scan's cost per record, compared with the cost of encoding the same records; and its findings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from bench.figures import Figure
from bench.scan_corpus import cases
from bench.scan_records import Lines, platform
from portability.api import encoded
from portability.api.rows import Batched
from portability.plugins import load_formats
from worker.read.screening import Screen
from worker.read.screening.values import Counts

RECORD_BYTES = 470
"""The size of records that the target refers to."""
TARGET_US = 1.0


def measure(*, long: bool) -> Figure:
    """Measure processor time in microseconds for a record of 470 bytes: scan versus encoding in JSON Lines and CSV."""
    pieces, screen, formats = list(platform()), Screen(), load_formats(["jsonl", "csv"])
    scale = RECORD_BYTES / sum(piece.bytes for piece in pieces) * 1e6

    def scanned(piece: Lines) -> None:
        for records in piece.batches:
            screen.records(piece.dataset, records, Counts())

    def written(piece: Lines) -> None:
        for form in formats.values():
            b"".join(encoded(form, piece.dataset, Batched(piece.batches)))

    runs = 100 if long else 20
    ours = sum(_least(partial(scanned, piece), runs) for piece in pieces) * scale
    theirs = sum(_least(partial(written, piece), runs // 4) for piece in pieces) * scale
    for line in corpus():
        print(line)
    return Figure("scan", ours, theirs, TARGET_US / theirs, "us", runs)


def _least(does: Callable[[], None], runs: int) -> float:
    """Return the least processor time of some runs, because other programs can only add to it."""
    seconds: list[float] = []
    for _ in range(runs):
        began = time.process_time()
        does()
        seconds.append(time.process_time() - began)
    return min(seconds)


def corpus() -> list[str]:
    """Return a table of the labelled corpus: by kind, the numbers of cases, correct findings and wrong findings."""
    screen = Screen()
    total: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    other: Counter[tuple[str, str]] = Counter()
    for case in cases():
        counts = screen.found(case.text)
        row = (case.kind, case.rule or "nothing")
        total[row] += 1
        right[row] += bool(counts[case.rule]) if case.rule else not counts
        other[row] += bool(counts.keys() - {case.rule})
    head = ["| value | has to be found as | cases | right | found as something else |", "|---|---|---|---|---|"]
    rows = [(*row, total[row], right[row], other[row]) for row in total]
    return head + [f"| {' | '.join(map(str, row))} |" for row in rows]
