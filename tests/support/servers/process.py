"""Processes that die with their parent, if needed as another account; folders and ports."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

Command = Sequence[str | Path]

START_SECONDS = 30

# Runs between fork and exec as a program of its own: `preexec_fn` is unsafe (and warns) where there are threads.
# Changing the user clears the death signal, so it is set last; the parent may be gone by then, so it is checked.
_LAUNCHER = """
import ctypes, os, sys
parent, death, uid, gid, *command = sys.argv[1:]
libc = ctypes.CDLL(None)
if uid:
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
if sys.platform == "linux":
    libc.prctl(1, int(death), 0, 0, 0)
if os.getppid() != int(parent):
    sys.exit("the tests are gone")
os.execv(command[0], command)
"""


class ServerMissing(Exception):
    """A server that a test needs is not on this machine; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that runs what refuses to be root."""

    uid: int
    gid: int


def unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise ServerMissing("no account for PostgreSQL, which refuses to run as root: add a user `postgres` or `nobody`")


@contextmanager
def folder_of(name: str, owner: Account | None = None) -> Iterator[Path]:
    """A short path if that of TMPDIR is: a unix socket's may have 107 bytes only."""
    folder = Path(tempfile.mkdtemp(prefix=f"t-{name}-"))
    if owner:
        os.chown(folder, owner.uid, owner.gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int, *, offset: int = 0) -> list[int]:
    """Free loopback ports below the ephemeral range, so that outgoing connections cannot take them."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = random.randrange(11_000, 21_000)
            try:
                for wanted in {port, port + offset}:
                    probe = held.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            ports.append(port)
    return ports


def launched(command: Command, account: Account | None = None, death: int = signal.SIGKILL) -> list[str]:
    """The command as a child that gets the signal `death` when the thread that started it ends (Linux)."""
    who = (str(account.uid), str(account.gid)) if account else ("", "")
    words = [str(os.getpid()), str(int(death)), *who, *map(str, command)]
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, *words]


def run_as(command: Command, folder: Path, account: Account | None) -> None:
    done = subprocess.run(launched(command, account), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


@contextmanager
def running(
    command: Command,
    folder: Path,
    answers: Callable[[], bool],
    *,
    account: Account | None = None,
    death: int = signal.SIGKILL,
    extra_environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start servers from the main thread: they die with the thread that started them")
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            launched(command, account, death),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(extra_environment or {})},
        )
    try:
        _await(process, answers, log)
        yield process
    finally:
        process.send_signal(death)
        process.wait(START_SECONDS)


def _await(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError(f"{log.parent.name} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


@dataclass
class Restartable:
    """A server that can be stopped hard and started again, on the same data and address."""

    begin: Callable[[], AbstractContextManager[subprocess.Popen[bytes]]]
    _running: ExitStack = field(default_factory=ExitStack)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def is_up(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def start(self) -> None:
        if self._process is None:
            self._process = self._running.enter_context(self.begin())

    def stop(self) -> None:
        """At once: with the signal that ends it with its parent."""
        self._process = None
        self._running.close()
