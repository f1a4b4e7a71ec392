"""The process of `portability worker`, with one more function in its allow-list: one that does nothing."""

from __future__ import annotations

from cli.main import main
from portability import queue

NOTHING = "bench.worker.nothing"
COMMAND = "from bench.worker import work; work()"
"""For `python -c`: under its own name the module is imported before the fork, like `worker.process.tasks`."""


def nothing() -> None:
    """Do nothing, to measure the cost of RQ."""


def work() -> None:
    """Work until stopped."""
    queue.ALLOWED |= {NOTHING}
    main(["worker"])
