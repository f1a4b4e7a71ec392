from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import servers
from click.testing import CliRunner
from heartbeats import report_processes
from sqlalchemy import inspect, text
from workers import own_notice

from cli import storage_waits
from cli.doctor import ASKING_STORAGE, CHECKS
from cli.main import main
from demo.plan import SeedPlan
from demo.seed import seed
from portability.api.errors import BrokenPlugin, StorageError, StorageRefused, StorageUnavailable
from portability.database import migrations
from portability.database.engine import open_engine, writing
from portability.people import sessions
from portability.queue import VALKEY_URL_FILE
from portability.storage.local import LocalStorage
from portability.storage.s3.bucket import S3Storage

Doctor = Callable[..., dict[str, Any]]

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
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(own_notice(tmp_path / "notice")))
    (tmp_path / VALKEY_URL_FILE).write_text(redis_url)
    report_processes(redis_url)
    assert CliRunner().invoke(main, ["keys", "new"]).exit_code == 0
    return tmp_path


@pytest.fixture
def doctor(folder: Path) -> Doctor:
    def run(*options: str) -> dict[str, Any]:
        arguments = ["doctor", "--json", "--dir", str(folder), *options]
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
        document: dict[str, Any] = json.loads(done.stdout)
        assert done.exit_code == (0 if document["ok"] else 1)
        return document

    return run


def results(document: dict[str, Any]) -> dict[str, str]:
    """What is said of the checks that found no fault."""
    return {check["check"]: check["result"] for check in document["checks"] if check["ok"]}


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
        raise BrokenPlugin("portability.exporters plug-in 'crm' failed to load: ImportError")

    patch.setattr("portability.sources.load_exporters", load)


def _recordings_are_a_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    patch.setenv("PORTABILITY_RECORDINGS_URL", (folder / "file").as_uri())


def _no_folder_of_recordings(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PORTABILITY_RECORDINGS_URL", (folder / "absent").as_uri())


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
        (_no_folder_of_recordings, {"recordings": "storage_unavailable"}),
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
    """One part is broken: it is named, by its code, and every other check still runs."""
    harm(folder, monkeypatch)
    assert faults(doctor()) == found


def test_the_reason_is_named_for_which_the_platform_cannot_be_read(
    doctor: Doctor, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name, an account that is refused and a database of something else are mended in different places."""
    seen = []
    for url in (pg_url, f"{pg_url}_absent"):
        monkeypatch.setenv("PORTABILITY_SOURCE_URL", url)
        (found,) = (check for check in doctor()["checks"] if check["check"] == "platform database")
        seen.append(found["message"].rpartition(": ")[2])
    assert seen == ["UndefinedTable", "OperationalError, there is no such database"]


def test_recordings_that_no_setting_names_are_not_called_well(doctor: Doctor, folder: Path) -> None:
    """A platform may have no files; where it has some, each would be missing in an archive: the check says so."""
    assert results(doctor())["recordings"] == f"there is no folder {folder / 'recordings'}: no file can be read from it"
    (folder / "recordings").mkdir()
    assert results(doctor())["recordings"] == "ok"


def test_an_invalid_database_is_found(doctor: Doctor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says so, and the rest is checked all the same: the storage may be away for the same cause."""
    (folder / "broken.sqlite").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", f"sqlite:///{folder}/broken.sqlite")
    document = doctor()
    assert faults(document) == {"control database": "database_unavailable"}
    seen = results(document)
    assert {seen[name] for name in ("signing key", "people's keys")} == {
        "not read: the control database does not answer"
    }
    assert seen["archive storage"].startswith("ok, but not compared with the control database")


def test_a_storage_that_hangs_is_said_within_seconds(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and answers nothing: each check that would wait for it again is left out."""
    monkeypatch.setattr(storage_waits, "SECONDS", 0.2)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("PORTABILITY_STORAGE_URL", f"s3://archives/x?{address}")
        monkeypatch.setenv("PORTABILITY_RECORDINGS_URL", f"s3://recordings/x?{address}")
        document = doctor()
    assert faults(document) == {"archive storage": "storage_unavailable", "recordings": "storage_unavailable"}
    asking = {results(document)[name] for name in ASKING_STORAGE}
    assert asking == {"not asked: the archive storage does not answer"}


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
    assert faults(doctor()) == {"signing key": "no_signing_key", "sources": "source_refused"}


@pytest.fixture
def bucket(folder: Path, s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket of its own for the archives."""
    del folder
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    name = f"doctor-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    monkeypatch.setenv("PORTABILITY_STORAGE_URL", f"s3://{name}/eu?endpoint={s3.endpoint}")
    yield name
    client.close()


def test_the_lifecycle_rule_is_shown_and_set(doctor: Doctor, bucket: str) -> None:
    """A missing rule is not a fault; `--fix` sets it and reports it once."""
    del bucket
    document = doctor()
    assert (faults(document), document["fixed"]) == ({}, [])
    assert results(document)["lifecycle"] == "no rule aborts abandoned uploads"
    (hint,) = (check["hint"] for check in document["checks"] if check["check"] == "lifecycle")
    assert "--fix" in hint
    document = doctor("--fix")
    assert document["fixed"] == ["lifecycle"]
    assert results(document)["lifecycle"] == "fixed: abandoned uploads are aborted after 7 days"
    for options in ([], ["--fix"]):
        document = doctor(*options)
        assert document["fixed"] == []
        assert results(document)["lifecycle"] == "ok: abandoned uploads are aborted after 7 days"


@pytest.mark.parametrize("options", [[], ["--fix"]])
@pytest.mark.parametrize("error", [StorageRefused("NotImplemented (501)"), StorageUnavailable("SlowDown (503)")])
def test_a_store_without_lifecycle_rules_is_no_fault(
    doctor: Doctor, bucket: str, monkeypatch: pytest.MonkeyPatch, options: list[str], error: StorageError
) -> None:
    """Rules that cannot be read or set are reported, with what to do; exports work without them."""
    del bucket

    def refuse(*_args: object) -> int:
        raise error

    monkeypatch.setattr(S3Storage, "upload_days", refuse)
    document = doctor(*options)
    assert (faults(document), document["fixed"]) == ({}, [])
    assert error.code in results(document)["lifecycle"]
    (hint,) = (check["hint"] for check in document["checks"] if check["check"] == "lifecycle")
    assert "docs/storage.md" in hint


def test_a_folder_needs_no_lifecycle_rule(doctor: Doctor) -> None:
    """`file://` says so, with and without `--fix`."""
    for options in ([], ["--fix"]):
        document = doctor(*options)
        assert results(document)["lifecycle"] == "not needed: the sweep cleans a folder"
        assert document["fixed"] == []


def test_a_schema_that_is_behind_is_upgraded(doctor: Doctor, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty database is behind: `--fix` upgrades it, and does not change a current one."""
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", pg_url)
    assert doctor()["fixed"] == []
    document = doctor("--fix")
    assert document["fixed"] == ["control database"]
    assert results(document)["control database"] == f"fixed: empty -> {migrations.head()}"
    assert "control database" not in faults(doctor())
    assert doctor("--fix")["fixed"] == []


@pytest.mark.parametrize("tables", ["create table users (id text)", "create table alembic_version (version_num text)"])
def test_another_program_s_database_is_not_upgraded(
    doctor: Doctor, pg_url: str, monkeypatch: pytest.MonkeyPatch, tables: str
) -> None:
    """A database with tables and without our revision is the platform's, by mistake: nothing is created there."""
    engine = open_engine(pg_url)
    with writing(engine) as connection:
        connection.execute(text(tables))
        if "alembic_version" in tables:
            connection.execute(text("insert into alembic_version values ('4f0c1d2e3a5b')"))
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", pg_url)
    document = doctor("--fix")
    assert (document["fixed"], faults(document)["control database"]) == ([], "database_unavailable")
    assert len(inspect(engine).get_table_names()) == 1
    engine.dispose()


def test_a_role_that_may_not_upgrade_is_reported(doctor: Doctor, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names the command for the owner of the schema."""
    role = f"doctor_{secrets.token_hex(4)}"
    engine = open_engine(pg_url)
    with writing(engine) as connection:
        connection.execute(text(f"create role {role} login password 'secret'"))
    url = engine.url.set(username=role, password="secret").render_as_string(hide_password=False)
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", url)
    document = doctor("--fix")
    (fault,) = (check for check in document["checks"] if check["check"] == "control database")
    assert (document["fixed"], fault["code"]) == ([], "database_unavailable")
    assert "portability db upgrade" in fault["hint"]
    with writing(engine) as connection:
        connection.execute(text(f"drop role {role}"))
    engine.dispose()


def test_a_notice_register_with_a_hole_is_a_fault(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doctor names what worker and web would refuse to start with."""
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(tmp_path / "nowhere"))
    assert faults(doctor()) == {"notice": "notice_hole"}


def test_a_proxy_that_is_not_trusted_is_reported(doctor: Doctor, folder: Path) -> None:
    """Ten people with one address; not nine, and not if one of them has another address."""

    def log_in(*logins: tuple[str, str]) -> None:
        with writing(engine) as connection:
            for person, address in logins:
                sessions.begin(connection, "salt", person, b"", device="", address=address, seconds=60)

    document = doctor()
    assert results(document)["proxy"] == "ok"
    engine = open_engine(f"sqlite:///{folder}/portability.sqlite")
    log_in(*((f"usr_{number}", "10.0.0.1") for number in range(9)))
    assert results(doctor())["proxy"] == "ok"
    log_in(("usr_8", "10.0.0.1"))
    assert results(doctor())["proxy"] == "ok"
    log_in(("usr_9", "10.0.0.1"))
    assert results(doctor())["proxy"] == "all 10 people who are logged in have the same address"
    log_in(("usr_9", "10.0.0.2"))
    assert results(doctor())["proxy"] == "ok"
    engine.dispose()
