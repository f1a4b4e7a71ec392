"""A call that starts early, in a separate thread, while other work is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Starts the call at once. The thread is a daemon, so that a hanging server does not prevent the process's end."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: T
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def result(self) -> T:
        """Wait for the call and return its result. Raises its error."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def wait(self) -> None:
        """Wait until it has ended, with any result."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001  # every error is passed to the caller of `result`
            self._error = error
