"""The same thing at the same moment: in threads and in processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self, TypeVar

import forks

Result = TypeVar("Result")

WAIT_SECONDS = 60
STDERR = 2


def in_threads(count: int, act: Callable[[int], Result]) -> list[Result]:
    """Return what `act(number)` returned in each of `count` threads that begin together."""
    start = threading.Barrier(count)

    def run(number: int) -> Result:
        start.wait(WAIT_SECONDS)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def in_processes(count: int, script: str, *arguments: str) -> Sequence[str]:
    """Return what a script printed in each of `count` processes; they begin together, at its line `begin()`."""
    whole = f"import sys\ndef begin(): print('ready', flush=True); sys.stdin.readline()\n{script}"
    with ExitStack() as stack:
        started = [stack.enter_context(_Talking(whole, arguments)) for _ in range(count)]
        for each in started:
            assert each.printed.readline() == "ready\n"
        for each in started:
            each.asked.write("\n")
            each.asked.flush()
        printed = [each.printed.read().strip() for each in started]
        assert [each.process.wait(WAIT_SECONDS) for each in started] == [0] * count
        return printed


class _Talking:
    """A process with pipes to its standard input and from its standard output."""

    def __init__(self, code: str, arguments: Sequence[str]) -> None:
        stdin, asked = os.pipe()
        printed, output = os.pipe()
        self.asked, self.printed = os.fdopen(asked, "w"), os.fdopen(printed)
        with os.fdopen(stdin, "rb") as theirs, os.fdopen(output, "wb") as answers:
            self.process = forks.start(arguments, os.environ, answers, errors=STDERR, stdin=theirs, code=code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.kill()
        self.asked.close()
        self.printed.close()
