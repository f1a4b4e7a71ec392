"""Questions of `portability doctor` to a storage: each has a limit. One that hangs would be tried for many minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from portability.api.errors import StorageUnavailable

SECONDS = 15.0
"""More than a storage needs that works; exports wait for it for longer."""


def ask(question: Callable[[], object]) -> None:
    """Ask a storage, in a thread that ends with the process.

    Raises: StorageUnavailable if it has not answered within SECONDS; what the question raises.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            question()
        except BaseException as error:  # noqa: BLE001  # the caller raises it
            failed.append(error)

    thread = threading.Thread(target=run, name="storage", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        raise StorageUnavailable(f"the storage has not answered within {SECONDS:g} s")
    if failed:
        raise failed[0]
