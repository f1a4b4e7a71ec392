"""A dataset as a sequence of checked batches: an unavailable source is retried, a contract violation ends it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from portability.api import Batch, Cursor, Exporter, Selection
from portability.api.errors import ExporterFault, PortabilityError, SourceError, SourceUnavailable
from worker.plan.plan import PlanLine
from worker.read import batch_validation
from worker.read.bounded_calls import BoundedCaller, CallResult, Check, Judge, Report, of_source, unreported
from worker.read.suspects import SuspectSources

FIRST_WAIT_SECONDS = 0.2
SOURCE_SECONDS = 300.0
T = TypeVar("T")
OpenCursor: TypeAlias = Callable[[Cursor], Cursor]
_END = object()  # not None, because a faulty generator may yield None


def plain_cursor(cursor: Cursor) -> Cursor:
    """Return a cursor as it is: none was stored."""
    return cursor


@dataclass(frozen=True, slots=True)
class SourcePatience:
    """How often an unavailable source is retried, how to wait meanwhile, and the time limit of a call."""

    retries: int
    wait: Callable[[float], None] = time.sleep
    seconds: float = SOURCE_SECONDS
    check: Check = lambda: None
    """Called while waiting for a source; raises when the job must stop."""
    report: Report = unreported
    """Called with the source that the job waits for."""
    judge: Judge = of_source
    """Called with the error of a call; raises when this worker lacks something, and the job must begin again."""
    suspects: SuspectSources = field(default_factory=SuspectSources)
    """The sources at which workers of this job have died."""

    def pause(self, attempt: int) -> bool:
        """Wait before the next attempt, twice as long each time, with jitter; False after the last attempt."""
        if attempt >= self.retries:
            return False
        self.wait(FIRST_WAIT_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
        return True

    def bounded(self, name: str) -> BoundedCaller:
        """Make a caller for one source; `name` identifies it when it stalls."""
        return BoundedCaller(name, self.seconds, self.check, self.report, self.judge, self.suspects)

    def once(self, name: str, call: Callable[[], T]) -> CallResult[T]:
        """Return the outcome of a single call of a source."""
        source = self.bounded(name)
        answer = source.ask(call)
        source.close()
        return answer


class Reader:
    """Batches of one ledger line after a cursor; `fault` says why it ended early, None if it was read completely.

    While one batch is used the next batches are read: at most two, one of them in progress.
    """

    def __init__(
        self,
        exporter: Exporter,
        line: PlanLine,
        selection: Selection,
        after: Cursor | None,
        patience: SourcePatience,
        open_cursor: OpenCursor = plain_cursor,
    ) -> None:
        """Prepare reading; `open_cursor` opens `after` if it was stored. Raises: what it raises."""
        self._exporter = exporter
        self._line = line
        self._selection = selection
        self._patience = patience
        self._source = patience.bounded(line.name)
        self._batches: Generator[Batch, None, None] | None = None
        self._ahead: Batch | None = None
        self._ended = False
        self._fetched = after and open_cursor(after)
        self.after = after
        """Cursor of the last batch that `next` returned."""
        self.fault: SourceError | None = None

    def next(self) -> Batch | None:
        """Return the next batch, complete and checked, or None at the end."""
        batch = self._ahead or self._fetch()
        self._ahead = None
        if batch is not None:
            self.after = batch.cursor
        return batch

    @property
    def ended(self) -> bool:
        """Return whether nothing more comes; looks one batch ahead."""
        if self._ahead is None:
            self._ahead = self._fetch()
        return self._ahead is None

    def stop(self, fault: SourceError) -> None:
        """End here, because the last batch cannot be used."""
        self.close()
        self._ahead, self._ended, self.fault = None, True, fault

    def close(self) -> None:
        """Free the exporter's resources. Raises: what the check of `patience` raises."""
        # Errors of third-party clean-up do not matter: every returned batch was complete.
        self._source.close(self._release)

    def _fetch(self) -> Batch | None:
        attempt = 0
        while not self._ended:
            # Small batches of a slow source may fill a piece for hours: cancellation must not wait for that.
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
        return None if given is _END else batch_validation.kept(given, self._line)

    def _release(self) -> None:
        """Run in the source's thread, after its read-ahead: only then it is known whether anything was opened."""
        batches, self._batches = self._batches, None
        if batches is not None:
            batches.close()

    def _sound(self, answer: CallResult[Batch | None]) -> Batch | None:
        if answer.error is not None:
            raise source_fault(self._line.name, answer.error)
        batch = answer.value
        if batch is not None:
            self._fetched = batch.cursor
        return batch


def source_fault(name: str, error: BaseException) -> SourceError:
    """Convert an error of a plug-in into a fault of the source; other errors than SourceError become ExporterFault."""
    if isinstance(error, SourceError):
        return error
    # Third-party code may raise anything, even SystemExit, with any message: only its type is reported.
    reported = error.code if isinstance(error, PortabilityError) else type(error).__name__
    fault = ExporterFault(f"{name} raised {reported}")
    fault.__cause__ = error
    return fault
