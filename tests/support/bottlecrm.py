"""BottleCRM as it is installed from PyPI (django-crm, MIT): its command, its database, and its REST API on loopback."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import servers
from repository import ROOT
from servers.process import ServerMissing, free_ports, running

VERSION = "1.35.0"
ADMIN = "admin@example.test"
CACHE = ROOT / ".cache" / "bottlecrm" / VERSION
AMOUNTS = {"contacts": 60, "opportunities": 60, "leads": 5, "cases": 30, "tasks": 60, "seed": 22}
"""What its command fills in: with few cases and tasks, or another seed, there may be no task of a contact's case."""


@dataclass(frozen=True)
class BottleCrm:
    """An installed BottleCRM."""

    venv: Path
    folder: Path
    database: str
    environment: Mapping[str, str]

    def admin(self, *arguments: str) -> str:
        """Run its `django-admin`; returns what it printed."""
        command = [self.venv / "bin" / "django-admin", *arguments]
        options = {"env": self.environment, "cwd": self.folder, "capture_output": True, "text": True}
        done = subprocess.run(command, check=False, **options)  # type: ignore[call-overload]  # options of one call
        assert done.returncode == 0, f"{arguments[0]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
        return str(done.stdout)


@dataclass(frozen=True)
class BottleApi:
    """Its REST API, and an organisation whose administrator has a token for it."""

    port: int
    token: str
    org: str


def installed(folder: Path, server: servers.Postgres) -> BottleCrm:
    """Install it, and fill a new database by its own command: minutes, and then seconds from what `.cache` keeps.

    BOTTLECRM_VENV names a venv that has it. Raises: ServerMissing without Python 3.13.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    name = server.create_database()
    with server.connect(name) as connection:
        # Of another test of the same server.
        connection.execute("do $$ begin create role crm login; exception when duplicate_object then null; end $$")
        connection.execute(f"alter database {name} owner to crm")
    with (CACHE / "lock").open("w") as lock:
        # Of several processes one installs and fills; the others take what it has made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = BottleCrm(_venv(), folder, name, _settings(server, name))
        _fill(made, server)
    return made


def _venv() -> Path:
    if stated := os.environ.get("BOTTLECRM_VENV"):
        return Path(stated)
    venv, complete = CACHE / "venv", CACHE / "venv" / "complete"
    if not complete.exists():
        python = shutil.which("python3.13")
        if python is None:
            raise ServerMissing("django-crm needs Python 3.12 or later: install python3.13 and python3.13-venv")
        subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", f"django-crm=={VERSION}"], check=True)
        complete.touch()
    return venv


def _fill(crm: BottleCrm, server: servers.Postgres) -> None:
    """Run its migrations and fill it, or take the tables and rows of an earlier run."""
    dump = CACHE / f"filled-{'-'.join(map(str, AMOUNTS.values()))}.sql"
    address = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
    if not dump.exists():
        crm.admin("migrate")
        amounts = (word for name, number in AMOUNTS.items() for word in (f"--{name}", str(number)))
        crm.admin("seed_data", "--email", ADMIN, *amounts)
        partial = dump.with_suffix(".partial")
        subprocess.run(["pg_dump", *address, "-f", partial, crm.database], check=True)
        partial.rename(dump)
        return
    quiet = ["-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull]
    subprocess.run(["psql", *address, *quiet, "-f", dump, crm.database], check=True)


@contextmanager
def serving_api(crm: BottleCrm, server: servers.Postgres) -> Iterator[BottleApi]:
    """Its server on loopback, and a token of the administrator for the organisation with the most contacts."""
    (port,) = free_ports(1)
    with server.connect(crm.database) as connection:
        row = connection.execute(
            "select org_id::text from contacts group by org_id order by count(*) desc limit 1"
        ).fetchone()
    assert row is not None
    printed = crm.admin("devlogin", ADMIN, "--org", row[0])
    (token,) = re.findall(r"^access_token: +(\S+)$", printed, re.MULTILINE)
    command: list[str | Path] = [crm.venv / "bin" / "gunicorn", "-b", f"127.0.0.1:{port}", "--threads", "4", "crm.wsgi"]
    with running(command, crm.folder, lambda: _answers(port), extra_environment=crm.environment):
        yield BottleApi(port, token, row[0])


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz/", timeout=30).is_success
    except httpx.TransportError:
        return False


def _settings(server: servers.Postgres, database: str) -> Mapping[str, str]:
    names = {"DBNAME": database, "DBUSER": "crm", "DBPASSWORD": "x", "DBHOST": "127.0.0.1", "DBPORT": str(server.port)}
    key = "dev-only-key-0123456789-0123456789-0123456789"
    broker = {"CELERY_BROKER_URL": "memory://", "CELERY_RESULT_BACKEND": "cache+memory://", "SECRET_KEY": key}
    django = {"DJANGO_SETTINGS_MODULE": "crm.settings", "ENV_TYPE": "dev", "DEBUG": "true"}
    return {**os.environ, **django, **names, **broker, "ALLOWED_HOSTS": "127.0.0.1"}
