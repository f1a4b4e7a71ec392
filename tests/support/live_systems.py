"""Real systems with an HTTP interface, started by tests on loopback: Roundup, and if they are installed, three more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from servers.process import ServerMissing, folder_of, free_ports, running

PASSWORD = "admin-password"
SERVE_ROUNDUP = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from roundup.cgi.wsgi_handler import RequestDispatcher

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments):
        pass

app = RequestDispatcher(sys.argv[1])
def mounted(environ, start_response):
    environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/desk")
    environ["SCRIPT_NAME"] = "/desk"
    return app(environ, start_response)
make_server("127.0.0.1", int(sys.argv[2]), mounted, Server, Quiet).serve_forever()
"""


@dataclass
class LiveSystem:
    """A running system, and an administrator's client."""

    url: str
    client: httpx.Client = field(repr=False)

    def call(self, method: str, path: str, **more: Any) -> Any:
        """The JSON answer of a request of the administrator."""
        answer = self.client.request(method, self.url + path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.content


def _answers(url: str, **more: Any) -> bool:
    try:
        return httpx.get(url, timeout=5, **more).status_code < 500
    except httpx.TransportError:
        return False


@contextmanager
def roundup(calls: int = 0) -> Iterator[LiveSystem]:
    """An issue tracker on SQLite, which allows `calls` requests in three seconds; 0: any number."""
    with folder_of("roundup") as folder:
        tracker, (port,) = folder / "desk", free_ports(1)
        admin = [Path(sys.executable).with_name("roundup-admin"), "-i", tracker]
        run([*admin, "install", "classic", "sqlite"])
        options = {
            "web": f"http://127.0.0.1:{port}/desk/",
            "domain": "example.test",
            "host": "localhost",
            "password_pbkdf2_default_rounds": 1000,
            "api_calls_per_interval": calls,
            "api_interval_in_sec": 3,
        }
        config = tracker / "config.ini"
        text = config.read_text()
        for name, value in options.items():
            text = re.sub(rf"(?m)^#?{name} =.*$", f"{name} = {value}", text)
        config.write_text(text)
        run([*admin, "initialise", PASSWORD])
        (folder / "serve.py").write_text(SERVE_ROUNDUP)
        url = f"http://127.0.0.1:{port}/desk/rest"
        headers = {
            "X-Requested-With": "rest",
            "Referer": f"http://127.0.0.1:{port}/desk/",
            "Origin": f"http://127.0.0.1:{port}",
        }
        mail = {"SENDMAILDEBUG": str(folder / "mail")}
        command: Sequence[str | Path] = [sys.executable, folder / "serve.py", tracker, str(port)]
        with (
            running(command, folder, lambda: _answers(url, headers=headers), extra_environment=mail),
            httpx.Client(auth=("admin", PASSWORD), headers=headers, timeout=30) as client,
        ):
            yield LiveSystem(url, client)


def run(command: list[Any], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-500:]}{done.stderr[-1500:]}"


def program(name: str, hint: str) -> Path:
    """A program beside this interpreter, in the folder LIVE_SYSTEMS, or on PATH. Raises ServerMissing."""
    folders = [Path(sys.executable).parent, Path(os.environ.get("LIVE_SYSTEMS", "/nonexistent")) / "bin"]
    found = next((folder / name for folder in folders if (folder / name).exists()), None) or shutil.which(name)
    if found is None:
        raise ServerMissing(f"{name} is missing: {hint}")
    return Path(found)
