"""The command line with a wrong wall clock: `python shifted.py SECONDS COMMAND ...`. Its children inherit the error.

`time.time` and `datetime.now` are all that Python code asks; the monotonic clock and the databases' clocks stay right.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import Any

REAL = dt.datetime


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, REAL)


def shift(seconds: float) -> None:
    """Make this process's wall clock wrong; before anything else is imported."""
    true_time, error = time.time, dt.timedelta(seconds=seconds)

    class Shifted(REAL, metaclass=_Meta):
        """Makes real datetimes, at the wrong time."""

        __slots__ = ()

        def __new__(cls, *words: Any, **named: Any) -> Any:  # a real one: C code knows only that
            return REAL(*words, **named)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return REAL.now(tz) + error

        @classmethod
        def utcnow(cls) -> Any:
            return REAL.now(dt.UTC).replace(tzinfo=None) + error

    dt.datetime = Shifted  # type: ignore[misc]  # for every module that imports it from now on
    time.time = lambda: true_time() + seconds


if __name__ == "__main__":
    del sys.path[0]  # the command line does not import the modules beside this file
    shift(float(sys.argv.pop(1)))
    from cli.main import run

    run()
