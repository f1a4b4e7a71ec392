"""Calls of a source that may hang: made in a separate thread, with a deadline, interrupted when the job must stop.

Python cannot interrupt a call. A thread whose call is too late is abandoned: it is a daemon, so the process can end
without it, and its source is not used again. All calls of one source are made in the same thread, because a generator
may contain objects that belong to its thread. A thread whose source has ended is reused for the next source.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar, cast

from portability.api.errors import ExporterFault, SourceError, SourceStalled, WorkerDied
from worker.read.suspects import SuspectSources

T = TypeVar("T")
Check: TypeAlias = Callable[[], None]
Report: TypeAlias = Callable[[str | None, str | None], None]
"""Takes the source that a job waits for and the code of its last fault; None and None: it waits for no source."""
Judge: TypeAlias = Callable[[str, BaseException], None]
"""Takes a source and the error of its call; raises if the error says nothing about the source."""
Steps: TypeAlias = "queue.SimpleQueue[Callable[[], object] | None]"
"""The queue of calls for one thread; None: it ends."""

LOOK_SECONDS = 0.25
"""How often a waiting caller checks whether to continue."""
REPORT_SECONDS = 3.0
"""A source that has not answered for this time is reported as one that the job waits for."""
_idle: list[Steps] = []
"""The threads without a source."""
os.register_at_fork(after_in_child=_idle.clear)


@dataclass(frozen=True, slots=True)
class CallResult(Generic[T]):
    """The outcome of a call."""

    value: T | None = None
    error: BaseException | None = None

    def get(self) -> T:
        """Return the value. Raises the error of the call, or SourceStalled."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


def unreported(_source: str | None, _code: str | None) -> None:
    """Report nothing: no one watches."""


def of_source(_source: str, _error: BaseException) -> None:
    """Take every error for one of the source."""


class BoundedCaller:
    """Calls of one source, one at a time, with a limit of `seconds`; `check` raises when the job must stop."""

    def __init__(
        self,
        name: str,
        seconds: float,
        check: Check,
        report: Report | None = None,
        judge: Judge = of_source,
        suspects: SuspectSources | None = None,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._check = check
        self._report = report or unreported
        self._judge = judge
        self._suspects = suspects or SuspectSources()
        self._thread: Steps | None = None
        self._context = Context()
        self._answers: queue.SimpleQueue[CallResult[object]] = queue.SimpleQueue()
        self._over = self._busy = False

    def ask(self, call: Callable[[], T]) -> CallResult[T]:
        """Return the call's outcome; after a stall always SourceStalled, after deaths WorkerDied.

        The same call may have been begun before. Raises: what `check` raises during the wait, and `judge`.
        """
        if not self._over:
            try:
                self._suspects.admit(self._name)
            except WorkerDied as fault:
                return CallResult(error=fault)
            self._begin(call)
            try:
                answer = self._wait()
            except BaseException:
                self._end()
                raise
            if answer is not None:
                self._busy = False
                if answer.error is not None:
                    self._judge(self._name, answer.error)
                self._report_answer(answer.error)
                return cast("CallResult[T]", answer)
            self._end()
        return CallResult(error=SourceStalled(f"{self._name} did not answer within {self._seconds:g} s"))

    def begin(self, call: Callable[[], object]) -> None:
        """Let the source start a call whose outcome `ask` will need next."""
        if not (self._over or self._suspects.is_careful):
            self._begin(call)

    def _begin(self, call: Callable[[], object]) -> None:
        if self._busy:
            return
        self._busy = True
        if self._thread is None:
            # With the caller's context, so that log lines name the export.
            self._thread, self._context = _thread(), copy_context()
        self._thread.put(partial(_answer, self._context, call, self._answers))

    def close(self, last: Callable[[], object] | None = None) -> None:
        """Release the thread, after a last call whose outcome does not matter. Raises: what `check` raises.

        Calls that were begun and not asked for are not awaited.
        """
        if self._thread is None or self._over:
            return
        if last is not None and self._busy:
            self._thread.put(partial(_answer, self._context, last, self._answers))
        elif last is not None:
            self.ask(last)
        self._end()

    def _report_answer(self, error: BaseException | None) -> None:
        if error is None:
            self._report(None, None)
        else:
            self._report(self._name, error.code if isinstance(error, SourceError) else ExporterFault.code)

    def _wait(self) -> CallResult[object] | None:
        began_at = time.monotonic()
        give_up_at = began_at + self._seconds
        while (left_seconds := give_up_at - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=min(LOOK_SECONDS, left_seconds))
            except queue.Empty:
                if time.monotonic() - began_at > REPORT_SECONDS:
                    self._report(self._name, None)
                self._check()
        return None

    def _end(self) -> None:
        """Stop using a busy thread, because it may never come back."""
        if self._thread is not None and not self._over:
            self._over = True
            if self._busy:
                self._thread.put(None)
            else:
                _idle.append(self._thread)


def dismiss() -> None:
    """End the threads without a source, before the process forks."""
    while _idle:
        _idle.pop().put(None)


def _thread() -> Steps:
    try:
        return _idle.pop()
    except IndexError:
        steps: Steps = queue.SimpleQueue()
        threading.Thread(target=_work, args=(steps,), name="source", daemon=True).start()
        return steps


def _work(steps: Steps) -> None:
    while (step := steps.get()) is not None:
        step()
        del step  # keep no reference to a source while waiting for the next call


def _answer(context: Context, call: Callable[[], object], answers: queue.SimpleQueue[CallResult[object]]) -> None:
    try:
        answers.put(CallResult(context.run(call)))
    except BaseException as error:  # noqa: BLE001  # every error is passed to the caller
        answers.put(CallResult(error=error))
