"""`start`: `portability verify --help`, from start to exit of the process.

Compared with an interpreter that does nothing.
"""

from __future__ import annotations

import sys

from workers import command

from bench.figures import Figure, interleaved, process_seconds


def measure(*, long: bool) -> Figure:
    """Measure seconds of both processes; the first pair writes the compiled modules and is dropped."""
    ours, theirs = command("verify", "--help"), [sys.executable, "-c", "pass"]
    for program in (ours, theirs):
        process_seconds(program)
    return interleaved(
        "start", lambda: process_seconds(ours), lambda: process_seconds(theirs), target=4, n=200 if long else 60
    )
