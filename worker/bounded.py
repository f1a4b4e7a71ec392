"""A source that may hang: called in a thread of its own, waited for with a deadline, in steps that hear of an end.

Python cannot interrupt a call. A thread whose call came too late is left alone: it is a daemon, so the process ends
without it, and what it was reading is never touched again. All calls of one source are made in the same thread, since
a generator may hold what belongs to its thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, cast

from portability.errors import SourceStalled

T = TypeVar("T")
Check: TypeAlias = Callable[[], None]

LOOK_SECONDS = 0.25
"""How often one who waits asks whether to wait on."""


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
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer[object]] = queue.SimpleQueue()
        self._began = self._over = self._busy = False

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
            self._busy = False
            if answer is not None:
                return cast("Answer[T]", answer)
            self._end()
        return Answer(error=SourceStalled(f"{self._name} gave nothing within {self._seconds:g} s"))

    def begin(self, call: Callable[[], object]) -> None:
        """Let the source work on a call that will be asked for next."""
        if self._over or self._busy:
            return
        self._busy = True
        if not self._began:
            self._began = True
            # With the context of who asks: the log knows which export it is about.
            work = (_work, self._calls, self._answers)
            threading.Thread(target=copy_context().run, args=work, name="source", daemon=True).start()
        self._calls.put(call)

    def close(self, last: Callable[[], object] | None = None) -> None:
        """End the thread, after a last call whose outcome does not matter. Raises: what `check` raises.

        What was begun and never asked for is not waited for.
        """
        if self._began and not self._over:
            if last is not None and self._busy:
                self._calls.put(last)
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
        self._over = True
        self._calls.put(None)


def _work(calls: queue.SimpleQueue[Callable[[], object] | None], answers: queue.SimpleQueue[Answer[object]]) -> None:
    while (call := calls.get()) is not None:
        try:
            answer = Answer(call())
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is for the one who asked
            answer = Answer(error=error)
        answers.put(answer)
        del call, answer  # nothing of a source is kept while its next call is waited for
