"""Real systems with an HTTP interface, started by tests on loopback: Roundup, and if they are installed, three more."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from repository import ROOT
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
        run_program([*admin, "install", "classic", "sqlite"])
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
        run_program([*admin, "initialise", PASSWORD])
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


def run_program(command: list[Any], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-500:]}{done.stderr[-1500:]}"


def program(name: str, hint: str) -> Path:
    """A program beside this interpreter, in the environment that `make test-systems` makes, or on PATH.

    Raises: ServerMissing.
    """
    folders = [Path(sys.executable).parent, ROOT / ".cache/live-systems/bin"]
    found = next((folder / name for folder in folders if (folder / name).exists()), None) or shutil.which(name)
    if found is None:
        raise ServerMissing(f"{name} is missing: {hint}")
    return Path(found)


RT_LIBRARY = Path("/usr/share/request-tracker5")
RT_CONFIG = r"""
$RT::MasonDataDir = '{folder}/mason'; $RT::MasonSessionDir = '{folder}/session'; $RT::VarPath = '{folder}';
Set($rtname, 'lab'); Set($Organization, 'lab'); Set($WebDomain, '127.0.0.1'); Set($WebPort, {port});
Set($WebSecureCookies, 0); Set($DatabaseType, 'SQLite'); Set($DatabaseName, '{folder}/rt.sqlite');
Set($LogDir, '{folder}'); Set($LogToFile, 'warning'); Set($LogToSyslog, undef); Set($LogToSTDERR, undef);
Set($MailCommand, 'testfile'); Set($NotifyActor, 0); Set($SendmailArguments, '');
Set($CorrespondAddress, 'desk\@example.test'); Set($CommentAddress, 'desk-comment\@example.test');
1;
"""


@contextmanager
def request_tracker() -> Iterator[LiveSystem]:
    """A help desk on SQLite. Raises ServerMissing if Debian's package is not installed."""
    if not RT_LIBRARY.exists():
        raise ServerMissing("Request Tracker: apt-get install request-tracker5 rt5-standalone libdbd-sqlite3-perl")
    with folder_of("rt") as folder:
        (port,) = free_ports(1)
        for name in ("mason", "session", "none"):
            (folder / name).mkdir()
        config = folder / "RT_SiteConfig.pm"
        config.write_text(RT_CONFIG.replace("{folder}", str(folder)).replace("{port}", str(port)))
        environment = {"RT_SITE_CONFIG": str(config), "RT_SITE_CONFIG_DIR": str(folder / "none")}
        setup = ["/usr/sbin/rt-setup-database-5", "--action", "init", "--datadir", RT_LIBRARY / "etc", "--skip-create"]
        run_program([*setup, "--dba", "root", "--dba-password", ""], environment)
        url = f"http://127.0.0.1:{port}/REST/2.0"
        server = [str(RT_LIBRARY / "libexec" / "rt-server"), "--server", "Starlet", "--host", "127.0.0.1"]
        command = [*server, "--port", str(port), "--max-workers", "2"]
        # SIGTERM takes its workers with it.
        how: dict[str, Any] = {"death": signal.SIGTERM, "extra_environment": environment}
        with (
            running(command, folder, lambda: _answers(f"{url}/rt"), **how),
            httpx.Client(auth=("root", "password"), timeout=60) as client,
        ):
            yield LiveSystem(url, client)


SYNAPSE_CONFIG = """
server_name: "lab.test"
report_stats: false
listeners: [{{port: {port}, bind_addresses: ["127.0.0.1"], type: http, resources: [{{names: [client]}}]}}]
database: {{name: sqlite3, args: {{database: {folder}/homeserver.db}}}}
media_store_path: {folder}/media
signing_key_path: {folder}/signing.key
log_config: {folder}/log.yaml
registration_shared_secret: "made-up"
trusted_key_servers: []
federation_domain_whitelist: []
suppress_key_server_warning: true
macaroon_secret_key: "made-up"
form_secret: "made-up"
rc_message: {{per_second: {rate}, burst_count: {burst}}}
rc_login: {{address: {{per_second: 1000, burst_count: 1000}}, account: {{per_second: 1000, burst_count: 1000}}}}
"""
SYNAPSE_LOG = """version: 1
handlers: {file: {class: logging.FileHandler, filename: %s/synapse.log}}
root: {level: WARNING, handlers: [file]}
"""


@contextmanager
def synapse(rate: float = 1000, burst: int = 1000) -> Iterator[tuple[LiveSystem, str]]:
    """A server for chats on SQLite, and its administrator's token. Raises ServerMissing if it is not installed."""
    python = program("synapse_homeserver", "make test-systems installs it").with_name("python")
    with folder_of("synapse") as folder:
        (port,) = free_ports(1)
        config = folder / "homeserver.yaml"
        config.write_text(SYNAPSE_CONFIG.format(port=port, folder=folder, rate=rate, burst=burst))
        (folder / "log.yaml").write_text(SYNAPSE_LOG % folder)
        command = [str(python), "-m", "synapse.app.homeserver", "-c", str(config)]
        run_program([*command, "--generate-keys"])
        url = f"http://127.0.0.1:{port}"
        with running(command, folder, lambda: _answers(f"{url}/health")):
            admin = ["-u", "admin", "-p", PASSWORD, "-a", url]
            run_program([python.with_name("register_new_matrix_user"), "-c", config, *admin])
            token = matrix_login(url, "admin", PASSWORD)
            with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
                yield LiveSystem(url, client), token


def matrix_login(url: str, name: str, password: str) -> str:
    """An access token of a user."""
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": password}
    return str(httpx.post(f"{url}/_matrix/client/v3/login", json=login, timeout=60).json()["access_token"])


@contextmanager
def radicale() -> Iterator[LiveSystem]:
    """A server for address books. Raises ServerMissing if it is not installed."""
    python = program("radicale", "make test-systems installs it").with_name("python")
    with folder_of("radicale") as folder:
        (port,) = free_ports(1)
        (folder / "users").write_text(f"desk:{PASSWORD}")
        auth = ["--auth-type", "htpasswd", "--auth-htpasswd-filename", folder / "users"]
        more = [*auth, "--auth-htpasswd-encryption", "plain", "--storage-filesystem-folder", folder / "data"]
        command = list(map(str, [python, "-m", "radicale", "--hosts", f"127.0.0.1:{port}", *more]))
        url = f"http://127.0.0.1:{port}"
        with (
            running(command, folder, lambda: _answers(url)),
            httpx.Client(auth=("desk", PASSWORD), timeout=30) as client,
        ):
            yield LiveSystem(url, client)
