from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from cli.doctor import CHECKS
from cli.main import main
from demo.plan import SeedPlan
from demo.seed import seed
from portability import migrations, plugins
from portability.db import open_engine, writing
from portability.errors import BrokenPlugin
from portability.queue import VALKEY_URL_FILE
from portability.storage.local import LocalStorage

Doctor = Callable[[], dict[str, Any]]

SMALL = SeedPlan(tenants=1, users=1, contacts=1, calls=1, chats=1, events=1, recordings=0)


@pytest.fixture(scope="module")
def source_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small platform's database."""
    folder = tmp_path_factory.mktemp("source")
    url = f"sqlite:///{folder}/platform.sqlite"
    seed(url, LocalStorage(folder / "recordings"), SMALL)
    return url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str, source_url: str) -> Path:
    """A healthy embedded folder, with a Valkey that runs."""
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path))
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", source_url)
    (tmp_path / VALKEY_URL_FILE).write_text(redis_url)
    assert CliRunner().invoke(main, ["keys", "new"]).exit_code == 0
    return tmp_path


@pytest.fixture
def doctor(folder: Path) -> Doctor:
    def run() -> dict[str, Any]:
        done = CliRunner().invoke(main, ["doctor", "--json", "--dir", str(folder)], catch_exceptions=False)
        document: dict[str, Any] = json.loads(done.stdout)
        assert done.exit_code == (0 if document["ok"] else 1)
        return document

    return run


def faults(document: dict[str, Any]) -> dict[str, str]:
    """Codes by the name of the check."""
    return {check["check"]: check["code"] for check in document["checks"] if not check["ok"]}


def test_a_healthy_stack_passes_every_check(doctor: Doctor) -> None:
    """Exit code 0, one line for each thing that an export needs."""
    document = doctor()
    assert faults(document) == {}
    assert [check["check"] for check in document["checks"]] == list(CHECKS)


def test_people_get_a_table_with_hints(folder: Path) -> None:
    """The same findings, to read."""
    (folder / VALKEY_URL_FILE).unlink()
    done = CliRunner().invoke(main, ["doctor"], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "[queue_unavailable]" in done.stdout
    assert "portability up" in done.stdout


def _no_valkey(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (folder / VALKEY_URL_FILE).unlink()


def _dead_valkey(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (folder / VALKEY_URL_FILE).write_text(f"unix://{folder}/nobody")


def _no_pem(folder: Path, _patch: pytest.MonkeyPatch) -> None:
    for pem in (folder / "keys").iterdir():
        pem.unlink()


def _no_source(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PORTABILITY_SOURCE_URL", f"sqlite:///{folder}/absent.sqlite")


def _foreign_store(folder: Path, patch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 0
    patch.setenv("PORTABILITY_STORAGE_URL", (folder / "elsewhere").as_uri())


def _storage_is_a_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    patch.setenv("PORTABILITY_STORAGE_URL", (folder / "file" / "archives").as_uri())


def _broken_plugin(_folder: Path, patch: pytest.MonkeyPatch) -> None:
    def load(*_args: object) -> None:
        raise BrokenPlugin("exporter plugin 'crm' does not load: ImportError")

    patch.setattr(plugins, "load_exporters", load)


def _recordings_are_a_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    patch.setenv("PORTABILITY_RECORDINGS_URL", (folder / "file").as_uri())


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (_no_valkey, {"queue": "queue_unavailable"}),
        (_dead_valkey, {"queue": "queue_unavailable"}),
        (_no_pem, {"signing key": "no_signing_key"}),
        (_no_source, {"platform database": "bad_source"}),
        (_foreign_store, {"archive storage": "foreign_store"}),
        (_storage_is_a_file, {"archive storage": "storage_refused"}),
        (_recordings_are_a_file, {"recordings": "storage_refused"}),
        (_broken_plugin, {"plugins": "broken_plugin"}),
    ],
)
def test_each_fault_is_found_and_the_others_are_not_suspected(
    doctor: Doctor,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Path, pytest.MonkeyPatch], None],
    found: dict[str, str],
) -> None:
    """One thing is broken: that one is named, by its code, and every other check still runs."""
    harm(folder, monkeypatch)
    assert faults(doctor()) == found


def test_a_database_that_is_none_is_found(doctor: Doctor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that needs the control database says so; the rest is checked all the same."""
    (folder / "broken.sqlite").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", f"sqlite:///{folder}/broken.sqlite")
    found = faults(doctor())
    assert found == dict.fromkeys(("control database", "archive storage", "signing key"), "database_unavailable")


def test_postgresql_is_judged_alike(doctor: Doctor, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not migrated, no key, and a source without tables: its errors have other types, and the same codes."""
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", pg_url)
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", pg_url)
    found = faults(doctor())
    assert (found["control database"], found["platform database"]) == ("database_unavailable", "bad_source")
    engine = open_engine(pg_url)
    migrations.upgrade(engine)
    with writing(engine) as connection:
        connection.execute(text("create table users (id text)"))
    engine.dispose()
    assert faults(doctor()) == {"signing key": "no_signing_key"}
