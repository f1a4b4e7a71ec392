"""The entry of the command line. It imports little: an interrupt ends the program in order, also while it loads."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT


def run() -> None:
    """Run the program. An interrupt ends it with the exit code 130; one that the caller ignores stays ignored."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, _end)
    from cli import main  # noqa: PLC0415  # it loads for a tenth of a second, which an interrupt may fall into

    try:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main.run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if is_ours:
            # What Python does at its end would print a traceback.
            signal.signal(signal.SIGINT, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # At once: nothing is begun yet, or everything is done and written; an exception may be swallowed here.
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
