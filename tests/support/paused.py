"""A process that is stopped between two of its transactions, and continued after another has done its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import event

from portability.database.engine import open_engine


@contextmanager
def paused_before(url: str, number: int, meanwhile: Callable[[], object]) -> Iterator[PausedProcess]:
    """Call `meanwhile` once, before the nth transaction of a process with an engine of its own."""
    pause = PausedProcess(url, number, meanwhile)
    try:
        yield pause
    finally:
        pause.engine.dispose()


class PausedProcess:
    """The engine of a process, and how many transactions it has begun."""

    def __init__(self, url: str, number: int, meanwhile: Callable[[], object]) -> None:
        self.engine = open_engine(url)
        self.begun = 0
        self._number, self._meanwhile = number, meanwhile
        # Each transaction takes a connection of its own. As it begins, SQLite has locked the whole file already.
        event.listen(self.engine, "checkout", self._begin)

    def _begin(self, *_connection: object) -> None:
        self.begun += 1
        if self.begun == self._number:
            self._meanwhile()

    @property
    def is_over(self) -> bool:
        """Whether the process has ended without being stopped: there is no later transaction."""
        return self.begun < self._number
