"""Processes of this project that begin with it imported: forks of one server, which imports it once (Linux).

An interpreter takes one to three seconds of CPU time to import a command; a fork takes milliseconds. All else is as
with an interpreter of its own: arguments, environment, files, signals and the exit code. That a command imports what it
needs is shown by processes with interpreters of their own, in tests/integration/test_embedded.py and tests/chaos.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO

import fork_server

COMMAND_LINE = "cli.main"
START_SECONDS = 120.0
_starting = threading.Lock()


class Fork:
    """A process that was started; its methods do what those of `subprocess.Popen` do. It dies with this process."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._report = report

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs; of a signal its negative number."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._report.settimeout(timeout)
            try:
                content = self._report.recv(64)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(f"the process {self.pid}", timeout or 0) from None
            self._report.close()
            self.returncode = int(content or -signal.SIGKILL)  # the server has died, and its forks with it
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: int | IO[bytes],
    *,
    errors: int | IO[bytes] | None = None,
    stdin: int | IO[bytes] | None = None,
    code: str | None = None,
    inherits: Sequence[int] = (),
    server: socket.socket | None = None,
) -> Fork:
    """Start the command line with these arguments, or other code, in the folder of this process.

    Errors go where the output goes, and standard input is empty, unless said otherwise. Descriptors that it inherits
    have the same numbers there.
    """
    request = {
        "module": None if code else COMMAND_LINE,
        "code": code,
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(Path.cwd()),
        "inherits": list(inherits),
    }
    with ExitStack() as stack:
        empty = stack.enter_context(Path(os.devnull).open("rb"))
        report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(theirs)
        files = [theirs, stdin or empty, output, errors or output, *inherits]
        numbers = [file if isinstance(file, int) else file.fileno() for file in files]
        with _starting:
            requests = server or _server()
        socket.send_fds(requests, [json.dumps(request).encode()], numbers)
    report.settimeout(START_SECONDS)
    pid = report.recv(64)
    if not pid:
        raise RuntimeError("the server of forks has ended: what it printed says why")
    return Fork(int(pid), report)


def run_fork(
    arguments: Sequence[str], environment: Mapping[str, str], *, seconds: float, code: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; returns the exit code and what it printed. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start(arguments, environment, output, errors=errors, code=code)
        try:
            process.wait(seconds)
        finally:
            process.kill()
        printed = []
        for file in (output, errors):
            file.seek(0)
            printed.append(file.read().decode())
        assert process.returncode is not None
        return subprocess.CompletedProcess(list(arguments), process.returncode, *printed)


@cache
def _server() -> socket.socket:
    """Start the server; returns where it takes requests. From the main thread: it dies with the thread."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start the first fork from the main thread: the server dies with the thread that started it")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, fork_server.__file__, str(os.getpid()), str(theirs.fileno())]
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours
