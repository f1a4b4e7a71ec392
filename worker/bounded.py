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
    """Calls of one source, one at a time, `seconds` each at the most; `check` raises when the job must stop."""

    def __init__(self, name: str, seconds: float, check: Check) -> None:
        self._name = name
        self._seconds = seconds
        self._check = check
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer[object]] = queue.SimpleQueue()
        self._began = self._over = self._is_busy = False

    def ask(self, call: Callable[[], T]) -> Answer[T]:
        """The call's outcome. Raises: as `outcome`."""
        self.start(call)
        return cast("Answer[T]", self.outcome())

    @property
    def is_busy(self) -> bool:
        """Whether a call was started whose outcome nobody took."""
        return self._is_busy

    def start(self, call: Callable[[], object]) -> None:
        """Begin a call that goes on while its caller does something else."""
        self._is_busy = True
        if not self._over:
            self._begin()
            self._calls.put(call)

    def outcome(self) -> Answer[object]:
        """What the started call came to; of a source that stalled, SourceStalled now and ever after.

        Raises: what `check` raises while it is waited for.
        """
        self._is_busy = False
        if not self._over:
            try:
                answer = self._wait()
            except BaseException:
                self._end()
                raise
            if answer is not None:
                return answer
            self._end()
        return Answer(error=SourceStalled(f"{self._name} gave nothing within {self._seconds:g} s"))

    def settle(self) -> None:
        """Wait for a started call, whatever it comes to. Raises: what `check` raises."""
        if self._is_busy:
            self.outcome()

    def close(self, last: Callable[[], object] | None = None) -> None:
        """End the thread, after a last call whose outcome does not matter. Raises: what `check` raises."""
        self.settle()
        if self._began and not self._over:
            if last is not None:
                self.ask(last)
            self._end()

    def _begin(self) -> None:
        if not self._began:
            self._began = True
            # With the context of who asks: the log knows which export it is about.
            work = (_work, self._calls, self._answers)
            threading.Thread(target=copy_context().run, args=work, name="source", daemon=True).start()

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
