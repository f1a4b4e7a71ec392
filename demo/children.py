"""Processes of the embedded stack: started, watched until they are ready, and stopped."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from portability.errors import ProcessEnded, Timeout
from portability.processes import die_with_parent

READY_SECONDS = 180.0
"""A worker reads every source once before it is ready, and waits for one that hangs."""
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
LOG_BYTES_MAX = 65_536
ERROR_LINE = re.compile(r"error: (?P<message>.*) \[(?P<code>[a-z_]+)\](?:  hint: (?P<hint>.*))?")
"""How a command prints an error (cli/context.py)."""


@dataclass(slots=True)
class Child:
    """A process of the stack that reports when it is ready and is started again when it ends by itself."""

    name: str
    arguments: Sequence[str]
    log: Path
    ready_socket: Path
    """Where it reports that it is ready: NOTIFY_SOCKET of sd_notify(3)."""
    inherits: Sequence[int]
    """File descriptors."""
    process: subprocess.Popen[bytes] = field(init=False)
    _reports: socket.socket = field(init=False)
    _log_begins: int = 0

    def __post_init__(self) -> None:
        self._reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports.setblocking(False)
        self.ready_socket.unlink(missing_ok=True)
        self._reports.bind(str(self.ready_socket))
        self.start()

    def start(self) -> None:
        """Start the process; what it prints is added to its log."""
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        environment = {"NOTIFY_SOCKET": str(self.ready_socket)}
        self.process = start_process(self.arguments, self.log, inherits=self.inherits, environment=environment)

    def has_reported(self) -> bool:
        """Whether the process has reported that it is ready since this was asked last."""
        try:
            return b"READY=1" in self._reports.recv(1024)
        except BlockingIOError:
            return False

    def last_line(self) -> str:
        """The last error that the process printed since it was started; without one the last line."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_begins, self.log.stat().st_size - LOG_BYTES_MAX))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if ERROR_LINE.fullmatch(line)]
        return (errors or lines or [""])[-1]

    def failure(self) -> ProcessEnded:
        """Why the process has ended, in its own words and with its exit code."""
        code, line = self.process.returncode, self.last_line()
        ended = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
        message, hint = line, ""
        if error := ERROR_LINE.fullmatch(line):
            message, hint = f"{error['message']} [{error['code']}]", error["hint"] or ""
        return ProcessEnded(
            f"{self.name} {ended} while it started: {message or 'it printed nothing'}",
            hint=f"{hint}; its log is {self.log}" if hint else f"its log is {self.log}",
            exit_status=max(code, 1),
        )

    def close(self) -> None:
        """Take no more reports."""
        self._reports.close()


def wait_until_ready(children: Sequence[Child], is_stopped: Callable[[], bool]) -> None:
    """Wait until each process has reported that it is ready, or the stack is asked to stop.

    Raises: ProcessEnded, as soon as one of them ends; Timeout.
    """
    waiting, deadline = list(children), time.monotonic() + READY_SECONDS
    while waiting and not is_stopped():
        waiting = [child for child in waiting if not child.has_reported()]
        for child in waiting:
            if child.process.poll() is not None:
                raise child.failure()
        if waiting and time.monotonic() > deadline:
            first = waiting[0]
            raise Timeout(f"{first.name} was not ready within {READY_SECONDS:.0f} s", hint=f"its log is {first.log}")
        time.sleep(POLL_SECONDS)


def start_process(
    arguments: Sequence[str],
    log: Path,
    *,
    end_with: int = signal.SIGKILL,
    inherits: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that ends with its parent and prints to a log; `environment` is added to that of the parent."""
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            pass_fds=inherits,
            # Its own session: Ctrl-C in the terminal reaches this process alone, which then stops the rest in order.
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid(), end_with),  # noqa: PLW1509  # no thread runs here yet
        )


def stop_all(children: Sequence[Child]) -> None:
    """Ask all processes to stop; one that does not is killed."""
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.close()
