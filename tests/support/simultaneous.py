"""The same thing at the same moment: in threads and in processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

Result = TypeVar("Result")

WAIT_SECONDS = 60


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
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", whole, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        for process in processes:
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        printed = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            printed.append(process.communicate(timeout=WAIT_SECONDS)[0].strip())
            assert process.returncode == 0
        return printed
