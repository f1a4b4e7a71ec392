"""One dataset as a run of checked batches: an unavailable source is asked again, a broken promise ends the run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from portability.api import Batch, Cursor, Exporter, Selection
from portability.errors import ExporterFault, PortabilityError, SourceError, SourceUnavailable
from worker import promises
from worker.bounded import Answer, Bounded, Check
from worker.plan import Line

FIRST_WAIT_SECONDS = 0.2
SOURCE_SECONDS = 300.0
T = TypeVar("T")
_END = object()  # None would be the end, too, for a generator that yields it by mistake


@dataclass(frozen=True, slots=True)
class Patience:
    """How often an unavailable source is asked again, how one waits meanwhile, and how long for one that hangs."""

    retries: int
    wait: Callable[[float], None] = time.sleep
    seconds: float = SOURCE_SECONDS
    check: Check = lambda: None
    """Asked while a source is waited for; raises when the job must stop."""

    def pause(self, attempt: int) -> bool:
        """Wait before the next try, twice as long each time, with jitter; False where patience is at its end."""
        if attempt >= self.retries:
            return False
        self.wait(FIRST_WAIT_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
        return True

    def bounded(self, name: str) -> Bounded:
        """For the calls of one source, which is told by this name when it stalls."""
        return Bounded(name, self.seconds, self.check)

    def once(self, name: str, call: Callable[[], T]) -> Answer[T]:
        """The outcome of a single call of a source."""
        source = self.bounded(name)
        answer = source.ask(call)
        source.close()
        return answer


class Reader:
    """Batches of one ledger line from a cursor on; `fault` says why it ended early, None that it was read whole.

    While one batch is used the next ones are read: two at the most, one of them on its way.
    """

    def __init__(
        self,
        exporter: Exporter,
        line: Line,
        selection: Selection,
        after: Cursor | None,
        patience: Patience,
    ) -> None:
        self._exporter = exporter
        self._line = line
        self._selection = selection
        self._patience = patience
        self._source = patience.bounded(line.name)
        self._batches: Generator[Batch, None, None] | None = None
        self._ahead: Batch | None = None
        self._ended = False
        self._fetched = after
        self.after = after
        """Cursor of the last batch that `next` gave out."""
        self.fault: SourceError | None = None

    def next(self) -> Batch | None:
        """The next batch, complete and checked, or None at the end."""
        batch = self._ahead or self._fetch()
        self._ahead = None
        if batch is not None:
            self.after = batch.cursor
        return batch

    @property
    def ended(self) -> bool:
        """Whether nothing more comes; looks one batch ahead."""
        if self._ahead is None:
            self._ahead = self._fetch()
        return self._ahead is None

    def stop(self, fault: SourceError) -> None:
        """End here: what came last cannot be used."""
        self.close()
        self._ahead, self._ended, self.fault = None, True, fault

    def close(self) -> None:
        """Free the exporter's resources. Raises: what the patience's check raises."""
        # What a stranger's clean-up raises costs the archive nothing: every batch given out was whole.
        self._source.close(self._release)

    def _fetch(self) -> Batch | None:
        attempt = 0
        while not self._ended:
            # Small batches of a slow source fill a piece for hours: cancelling must not wait for that.
            self._patience.check()
            answer = self._source.ask(self._ask)
            try:
                batch = self._sound(answer)
            except SourceUnavailable as fault:
                self._batches = None
                if not self._patience.pause(attempt):
                    self.stop(fault)
                attempt += 1
            except SourceError as fault:
                self.stop(fault)
            else:
                self._ended = batch is None
                if batch is not None:
                    self._source.begin(self._ask)
                return batch
        return None

    def _ask(self) -> Batch | None:
        if self._batches is None:
            line = self._line
            self._batches = self._exporter.export(line.subject, line.dataset, self._selection, after=self._fetched)
        given = next(self._batches, _END)
        return None if given is _END else promises.kept(given, self._line)

    def _release(self) -> None:
        """In the source's thread, after what it reads ahead: only there is it known whether anything was opened."""
        batches, self._batches = self._batches, None
        if batches is not None:
            batches.close()

    def _sound(self, answer: Answer[Batch | None]) -> Batch | None:
        try:
            batch = answer.get()
        except SourceError:
            raise
        except PortabilityError as error:
            raise ExporterFault(f"{self._line.name} raised {error.code}") from error
        except BaseException as error:
            # A stranger's may be anything, SystemExit too, and its message as well: only its type is told.
            raise ExporterFault(f"{self._line.name} raised {type(error).__name__}") from error
        if batch is not None:
            self._fetched = batch.cursor
        return batch
