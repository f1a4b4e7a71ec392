"""A call that is made ahead, in a thread of its own, while other work is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Begun at once. The thread is a daemon: a server that hangs must not keep the process from its end."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: T
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def result(self) -> T:
        """What the call gave, once it has. Raises what the call raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def wait(self) -> None:
        """Until it has ended, whatever it gave."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is for the one who asks for the result
            self._error = error
