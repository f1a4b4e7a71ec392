"""The process that `portability worker` is, whose allow-list has one more function: one that does nothing."""

from __future__ import annotations

from cli.main import main
from portability import queue

NOTHING = "bench.worker.nothing"
COMMAND = "from bench.worker import work; work()"
"""For `python -c`: under its own name the module is imported before the fork, as `worker.tasks` is."""


def nothing() -> None:
    """A job that costs what RQ costs."""


def work() -> None:
    """Work until stopped."""
    queue.ALLOWED |= {NOTHING}
    main(["worker"])
