"""BottleCRM as it is installed from PyPI: a real CRM of about 150 tables, under forced row-level security."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import servers

VERSION = "1.35.0"
SEED = ("--email", "admin@example.test", "--contacts", "60", "--opportunities", "60", "--leads", "5")


@pytest.fixture(scope="session")
def bottlecrm(pg_server: servers.Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of its database, filled by its own command: minutes. BOTTLECRM_VENV names a venv that has it."""
    folder = tmp_path_factory.mktemp("bottlecrm")
    venv = Path(os.environ.get("BOTTLECRM_VENV", folder / "venv"))
    if not venv.exists():
        python = shutil.which("python3.13") or pytest.skip("django-crm needs Python 3.12 or later")
        subprocess.run([python, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", f"django-crm=={VERSION}"], check=True)
    name = pg_server.create_database()
    with pg_server.connect(name) as connection:
        # Of another test of the same server.
        connection.execute("do $$ begin create role crm login; exception when duplicate_object then null; end $$")
        connection.execute(f"alter database {name} owner to crm")
    environment = _settings(pg_server, name)
    for command in (("migrate",), ("seed_data", *SEED)):
        subprocess.run(
            [venv / "bin/django-admin", *command], env=environment, cwd=folder, check=True, capture_output=True
        )
    yield name
    pg_server.drop_database(name)


def _settings(server: servers.Postgres, database: str) -> Mapping[str, str]:
    names = {"DBNAME": database, "DBUSER": "crm", "DBPASSWORD": "x", "DBHOST": "127.0.0.1", "DBPORT": str(server.port)}
    key = "dev-only-key-0123456789-0123456789-0123456789"
    broker = {"CELERY_BROKER_URL": "memory://", "CELERY_RESULT_BACKEND": "cache+memory://", "SECRET_KEY": key}
    django = {"DJANGO_SETTINGS_MODULE": "crm.settings", "ENV_TYPE": "dev", "DEBUG": "true"}
    return {**os.environ, **django, **names, **broker, "ALLOWED_HOSTS": "127.0.0.1"}
