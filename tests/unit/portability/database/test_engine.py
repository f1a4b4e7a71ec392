from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from portability.database.engine import PATIENCE, now, open_engine, reading, writing
from portability.errors import DatabaseUnavailable


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.mark.parametrize("name", ["absent/x.sqlite", "folder", "not-a-database"])
def test_a_database_that_cannot_be_used_is_one_error(tmp_path: Path, name: str) -> None:
    """No file, a folder, a file of something else: DatabaseUnavailable with a hint, not a driver's traceback."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "not-a-database").write_bytes(b"hunter2 " * 1000)
    engine = open_engine(url(tmp_path / name))
    with pytest.raises(DatabaseUnavailable) as raised, writing(engine) as connection:
        connection.execute(text("select 1"))
    assert "hunter2" not in str(raised.value)
    engine.dispose()


@pytest.mark.slow
def test_a_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing, like a frozen machine: an error after seconds, which says it."""
    monkeypatch.setitem(PATIENCE, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = open_engine(f"postgresql+psycopg://app@127.0.0.1:{silent.getsockname()[1]}/x")
        begun = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="ConnectionTimeout") as raised, reading(engine) as connection:
            connection.execute(text("select 1"))
        assert time.monotonic() - begun < 10
        assert raised.value.hint == "look at the network and at the server"
        engine.dispose()


def test_a_new_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask and the rights of the folder are: the database has addresses of people, and its log too."""
    before = os.umask(0)
    try:
        engine = open_engine(url(tmp_path / "x.sqlite"))
        with writing(engine) as connection:
            connection.execute(text("create table person (name text)"))
            seen = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert seen == dict.fromkeys(["x.sqlite", "x.sqlite-wal", "x.sqlite-shm"], "0o600")


def test_the_rights_of_an_existing_database_stay(tmp_path: Path) -> None:
    """An operator may share it with a group."""
    shared = tmp_path / "x.sqlite"
    shared.touch()
    shared.chmod(0o660)
    engine = open_engine(url(shared))
    with writing(engine) as connection:
        connection.execute(text("create table person (name text)"))
    engine.dispose()
    assert shared.stat().st_mode & 0o777 == 0o660


def test_a_database_in_memory_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By either of its names."""
    monkeypatch.chdir(tmp_path)
    for name in ("sqlite://", "sqlite:///:memory:"):
        engine = open_engine(name)
        with reading(engine):
            pass
        engine.dispose()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """The code of SQLite says why a write failed, and the hint leads to the disk and not to the schema."""
    engine = open_engine(url(tmp_path / "x.sqlite"))
    with writing(engine) as connection:
        connection.execute(text("create table person (name text)"))
        connection.exec_driver_sql("pragma max_page_count = 10")
    with pytest.raises(DatabaseUnavailable) as raised, writing(engine) as connection:
        connection.execute(text("insert into person values (:name)"), {"name": "hunter2" * 100_000})
    engine.dispose()
    assert str(raised.value).endswith("x.sqlite failed: OperationalError SQLITE_FULL")
    assert "is it full" in raised.value.hint


def test_a_database_that_is_read_only_is_named(tmp_path: Path) -> None:
    """For example its file system, after an error of the disk."""
    (tmp_path / "x.sqlite").touch()
    engine = open_engine(f"sqlite:///file:{tmp_path}/x.sqlite?mode=ro&uri=true")
    with pytest.raises(DatabaseUnavailable) as raised, writing(engine) as connection:
        connection.execute(text("create table person (name text)"))
    engine.dispose()
    assert str(raised.value).endswith(" failed: OperationalError SQLITE_READONLY")
    assert "may this user write the file" in raised.value.hint


def test_no_message_contains_the_password() -> None:
    """The server is named by its host alone."""
    engine = open_engine("postgresql+psycopg://user:hunter2@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable) as raised, reading(engine):
        pass
    assert "127.0.0.1" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_failed_statement_reveals_no_value(tmp_path: Path) -> None:
    """Parameters are personal data: no error of the database repeats them."""
    engine = open_engine(url(tmp_path / "x.sqlite"))
    with pytest.raises(DatabaseUnavailable) as raised, reading(engine) as connection:
        connection.execute(text("select * from nothing where name = :name"), {"name": "hunter2"})
    assert "hunter2" not in f"{raised.value} {raised.value.__cause__}"
    engine.dispose()


def test_the_clock_of_sqlite_is_utc(tmp_path: Path) -> None:
    """It is this machine's clock, to the millisecond."""
    engine = open_engine(url(tmp_path / "x.sqlite"))
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    with reading(engine) as connection:
        seen = connection.scalar(select(now()))
    engine.dispose()
    assert seen is not None
    assert before <= seen <= datetime.now(UTC)
