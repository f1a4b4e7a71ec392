"""Processes of an embedded stack as forks of `portability up`, a fork of `forks.py` that has all code in memory.

Each would import the product again, for three seconds of CPU time. All else is as in `demo.children.start_process`.
That they start with interpreters of their own is shown in tests/integration/test_embedded.py.
"""

from __future__ import annotations

import os
import runpy
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo import children
from portability.processes import die_with_parent

COMMAND_LINE = "cli.main"
NAME = "TESTS_FORK_CHILDREN"
"""Environment variable of a command line that forks the processes of its stack."""
FILES_MAX = 256
STANDARD = (0, 1, 2)


class ForkedChild:
    """A process that was forked; its methods do what those of `subprocess.Popen` do."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            ended = os.pidfd_open(self.pid)
            select.select([ended], [], [], timeout)
            os.close(ended)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"the process {self.pid}", timeout or 0)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@contextmanager
def forking() -> Iterator[None]:
    """Fork the commands of the product that an embedded stack starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "start_process", _start)
        yield


def _start(
    arguments: Sequence[str],
    log: Path,
    *,
    end_with: int = signal.SIGKILL,
    inherits: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> ForkedChild:
    parent = os.getpid()
    if pid := os.fork():
        return ForkedChild(pid)
    code: Any = 1
    try:
        die_with_parent(parent, end_with)
        os.setsid()
        _take_files(log, inherits)
        os.environ.update(environment or {})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        sys.argv = ["portability", *arguments[arguments.index(COMMAND_LINE) + 1 :]]
        code = _exit_code()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _exit_code() -> object:
    try:
        runpy.run_module(COMMAND_LINE, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code or 0
    return 0


def _take_files(log: Path, inherits: Sequence[int]) -> None:
    """Read nothing, print to the log, and close all else that is open."""
    empty, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for standard, file in zip(STANDARD, (empty, output, output), strict=True):
        os.dup2(file, standard)
    for file in set(range(STANDARD[-1] + 1, FILES_MAX)).difference(inherits):
        os.closerange(file, file + 1)
