"""Real processes of the command line: workers and clocks as a deployment runs them, and single commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import forked_children
import forks
from forks import Fork
from migrated import migrate

from portability.database.engine import open_engine

READY = (0, 3)
"""Exit codes of `request --wait` for an archive; 3: something is missing, or a company decides over it."""
WAIT_SECONDS = 120.0
STOPPED, ZOMBIE = "T", "Z"
"""States of a process in /proc (proc(5))."""
Found = TypeVar("Found")


@dataclass
class Deployment:
    """Settings as environment variables, and the processes that were started with them."""

    folder: Path
    settings: Mapping[str, str]
    processes: list[Fork] = field(default_factory=list)
    forks_children: bool = False
    """Whether the processes of an embedded stack are forks of its command, not interpreters of their own."""

    @property
    def environment(self) -> dict[str, str]:
        """Of the reference platform, where the settings name no sources."""
        source = {"SOURCE_URL": f"sqlite:///{self.folder / 'platform.sqlite'}"}
        settings = self.settings if "SOURCES" in self.settings else {**source, **self.settings}
        if not settings.keys().isdisjoint({"DATABASE_URL", "REDIS_URL", "STORAGE_URL"}):
            settings = {"NOTICE_DIR": str(own_notice(self.folder / "own-notice")), **settings}
        named = {f"PORTABILITY_{name}": value for name, value in settings.items()}
        forks_children = {forked_children.NAME: "1"} if self.forks_children else {}
        return {**os.environ, **named, **forks_children, "PORTABILITY_DIR": str(self.folder)}

    @property
    def log(self) -> Path:
        return self.folder / "processes.log"

    def start(self, *arguments: str) -> Fork:
        """A command in the background; it dies with the test."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = forks.start(arguments, self.environment, log)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, expect: int | tuple[int, ...] = 0) -> subprocess.CompletedProcess[str]:
        """A command to its end, with one of the expected exit codes."""
        done = forks.run_fork(arguments, self.environment, seconds=WAIT_SECONDS)
        expected = (expect,) if isinstance(expect, int) else expect
        assert done.returncode in expected, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, expect: int | tuple[int, ...] = 0) -> Any:
        """A command's `--json` answer."""
        return json.loads(self.run(*arguments, "--json", expect=expect).stdout)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(WAIT_SECONDS)


def own_notice(folder: Path, version: str = "of tests") -> Path:
    """A notice register with a controller of its own, as every deployment on servers needs it."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "own.toml.new"
    written.write_text(f'version = "{version}"\n[controller]\nname = "Tests Inc."\n')
    written.replace(folder / "own.toml")  # a process that has just been started may be reading it
    return folder


def command(*arguments: str) -> Sequence[str]:
    """The command line with an interpreter of its own."""
    return [sys.executable, "-m", "cli.main", *arguments]


@contextmanager
def deployment(folder: Path, *, workers: int, **settings: str) -> Iterator[Deployment]:
    """A deployment with its database migrated, a key, workers and a clock; stopped in order at the end."""
    # One operator has all roles: nothing waits for a second person.
    quick = {"LEASE_SECONDS": "4", "CLOCK_SECONDS": "0.3", "DRAIN_SECONDS": "2", "APPROVALS": "none"}
    deployed = Deployment(folder, quick | settings)
    if url := settings.get("DATABASE_URL"):
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
    deployed.run("db", "upgrade")
    deployed.run("keys", "new")
    try:
        for arguments in [*[("worker",)] * workers, ("clock",)]:
            deployed.start(*arguments)
        yield deployed
    finally:
        deployed.stop()


def until(true: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Ask again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def awaited(seek: Callable[[], Found], what: str, seconds: float = WAIT_SECONDS) -> Found:
    """Ask until there is something, and return it: a second look may find that it has changed."""
    seen: list[Found] = []

    def is_found() -> bool:
        seen[:] = filter(None, [seek()])
        return bool(seen)

    until(is_found, what, seconds)
    return seen[0]


def family(deployed: Deployment) -> list[int]:
    """Pids of all child processes that live."""
    return [child for process in deployed.processes if process.poll() is None for child in children(process.pid)]


def children(pid: int) -> list[int]:
    """Pids of a process's children (Linux)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(pid: int) -> None:
    """As the kernel's OOM killer does."""
    assert pid > 0, "0 is the group of the tests themselves"
    os.kill(pid, signal.SIGKILL)


def has_killed(pid: int) -> bool:
    """Kill a process at work; False: it has ended by itself, and its parent hears of no death."""
    assert pid > 0, "0 is the group of the tests themselves"
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) in {STOPPED, ZOMBIE}, "it is stopped")
        is_at_work = state_of(pid) == STOPPED
        kill(pid)
        return is_at_work
    return False


def state_of(pid: int) -> str:
    """The letter of a process's state (Linux)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
