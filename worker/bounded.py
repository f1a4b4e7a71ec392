"""A source that may hang: called in a thread of its own, waited for with a deadline, in steps that hear of an end.

Python cannot interrupt a call. A thread whose call came too late is left alone: it is a daemon, so the process ends
without it, and what it was reading is never touched again. All calls of one source are made in the same thread, since
a generator may hold what belongs to its thread. A thread whose source has ended waits for the next source.
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

from portability.errors import SourceStalled

T = TypeVar("T")
Check: TypeAlias = Callable[[], None]
Steps: TypeAlias = "queue.SimpleQueue[Callable[[], object] | None]"
"""What one thread does, in turn; None: it ends."""

LOOK_SECONDS = 0.25
"""How often one who waits asks whether to wait on."""
_idle: list[Steps] = []
"""Of the threads that have no source."""
os.register_at_fork(after_in_child=_idle.clear)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a call came to."""

    value: T | None = None
    error: BaseException | None = None

    def get(self) -> T:
        """The value. Raises whatever the call raised, or SourceStalled."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


class Bounded:
    """Calls of one source, one at a time, waited for `seconds` at the most; `check` raises when the job must stop."""

    def __init__(self, name: str, seconds: float, check: Check) -> None:
        self._name = name
        self._seconds = seconds
        self._check = check
        self._thread: Steps | None = None
        self._context = Context()
        self._answers: queue.SimpleQueue[Answer[object]] = queue.SimpleQueue()
        self._over = self._busy = False

    def ask(self, call: Callable[[], T]) -> Answer[T]:
        """The call's outcome; of a source that stalled, SourceStalled now and ever after.

        The same call may have been begun before. Raises: what `check` raises while it is waited for.
        """
        if not self._over:
            self.begin(call)
            try:
                answer = self._wait()
            except BaseException:
                self._end()
                raise
            if answer is not None:
                self._busy = False
                return cast("Answer[T]", answer)
            self._end()
        return Answer(error=SourceStalled(f"{self._name} gave nothing within {self._seconds:g} s"))

    def begin(self, call: Callable[[], object]) -> None:
        """Let the source work on a call that will be asked for next."""
        if self._over or self._busy:
            return
        self._busy = True
        if self._thread is None:
            # With the context of who asks: the log knows which export it is about.
            self._thread, self._context = _thread(), copy_context()
        self._thread.put(partial(_answer, self._context, call, self._answers))

    def close(self, last: Callable[[], object] | None = None) -> None:
        """Leave the thread, after a last call whose outcome does not matter. Raises: what `check` raises.

        What was begun and never asked for is not waited for.
        """
        if self._thread is None or self._over:
            return
        if last is not None and self._busy:
            self._thread.put(partial(_answer, self._context, last, self._answers))
        elif last is not None:
            self.ask(last)
        self._end()

    def _wait(self) -> Answer[object] | None:
        give_up_at = time.monotonic() + self._seconds
        while (left_seconds := give_up_at - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=min(LOOK_SECONDS, left_seconds))
            except queue.Empty:
                self._check()
        return None

    def _end(self) -> None:
        """Nobody knows when a thread that is busy comes back: it is not used again."""
        if self._thread is not None and not self._over:
            self._over = True
            if self._busy:
                self._thread.put(None)
            else:
                _idle.append(self._thread)


def dismiss() -> None:
    """End the threads that have no source: a process forks better without."""
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
        del step  # nothing of a source is kept while the next call is waited for


def _answer(context: Context, call: Callable[[], object], answers: queue.SimpleQueue[Answer[object]]) -> None:
    try:
        answers.put(Answer(context.run(call)))
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is for the one who asked
        answers.put(Answer(error=error))
