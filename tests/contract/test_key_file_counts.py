"""The count of keys whose files a process cannot use, as Prometheus reads it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from factories import World, world
from sqlalchemy import Connection

from portability.database.engine import open_engine, writing
from portability.signals import lost_keys
from portability.signals.lost_keys import COUNT_SECONDS, OF_WEB, KeyFiles, LostKey
from portability.trust import keys

NONE = {"archive": 0, "link": 0, "transfer": 0, "audit": 0}


@pytest.fixture
def made(tmp_path: Path, control_url: str) -> World:
    return world(tmp_path, {}, database_url=control_url).with_all_keys()


@pytest.fixture(autouse=True)
def _counts_without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_keys, "REST", 0)
    monkeypatch.setattr(lost_keys, "COUNT_SECONDS", 20.0)  # of a busy machine that runs tests


def missing_files(key_files: KeyFiles) -> Mapping[str, float]:
    (metric,) = key_files.collect()
    return {sample.labels["purpose"]: sample.value for sample in metric.samples}


@pytest.mark.parametrize("purpose", NONE)
def test_a_file_that_is_not_usable_counts_until_it_is_back(made: World, purpose: str) -> None:
    """Missing, damaged, or of another key; the count has the purpose alone, and no name of a file or a key."""
    folder = made.place.settings.keys
    key_files = KeyFiles(made.engine, folder, OF_WEB)
    assert missing_files(key_files) == NONE
    (pem,) = folder.glob(f"{purpose}-*.pem")
    whole, other = pem.read_bytes(), next(folder.glob("a*.pem" if purpose == "link" else "link-*.pem")).read_bytes()
    for content in (b"", whole[:100], other):
        pem.write_bytes(content)
        assert missing_files(key_files) == {**NONE, purpose: 1}
    pem.unlink()
    assert missing_files(key_files) == {**NONE, purpose: 1}
    pem.write_bytes(whole)
    assert missing_files(key_files) == NONE


def test_a_key_that_nothing_needs_is_not_missed(made: World) -> None:
    """Its successor signs, and no row needs it: its file may be removed."""
    with writing(made.engine) as connection:
        (old,) = keys.kids(made.place.settings.keys, "link")
        keys.new(connection, made.place.settings.keys, purpose="link", actor="operator:test")
    (made.place.settings.keys / f"{old}.pem").unlink()
    assert missing_files(KeyFiles(made.engine, made.place.settings.keys, OF_WEB)) == NONE


def test_a_machine_without_keys_by_design_is_silent(made: World, tmp_path: Path) -> None:
    """A web process has no keys for archives, a timer of the node exporter may have none at all."""
    folder = made.place.settings.keys
    without = shutil.copytree(folder, tmp_path / "of-web")
    for pem in without.glob("archive-*"):
        pem.unlink()
    of_web = {purpose: 0 for purpose in NONE if purpose != "archive"}
    assert missing_files(KeyFiles(made.engine, without, OF_WEB)) == of_web
    assert missing_files(KeyFiles(made.engine, tmp_path / "nothing")) == {}
    assert missing_files(KeyFiles(made.engine, without)) == of_web
    key_files = KeyFiles(made.engine, folder, OF_WEB)
    assert missing_files(key_files) == NONE
    for pem in folder.glob("archive-*"):
        pem.unlink()
    assert missing_files(key_files) == {**NONE, "archive": 1}  # it was here


@pytest.mark.parametrize("spoil", ["missing", "file", "loop"])
def test_a_folder_that_cannot_be_read_is_an_answer(made: World, spoil: str) -> None:
    """It is not mounted, or something else is in its place: each key that is needed counts, and no scrape fails."""
    folder = made.place.settings.keys
    key_files = KeyFiles(made.engine, folder, OF_WEB)
    assert missing_files(key_files) == NONE
    away = folder.rename(folder.with_name("away"))
    if spoil == "file":
        folder.write_bytes(b"")
    if spoil == "loop":
        folder.symlink_to(folder.name)
    assert missing_files(key_files) == dict.fromkeys(NONE, 1)
    assert missing_files(KeyFiles(made.engine, folder, OF_WEB)) == dict.fromkeys(OF_WEB, 1)
    folder.unlink(missing_ok=True)
    away.rename(folder)
    assert missing_files(key_files) == NONE


def test_a_folder_that_hangs_delays_no_scrape(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system that does not answer: the other figures arrive, and the count when it answers again."""
    goes_on = threading.Event()

    def hang(_folder: Path, _row: object) -> None:
        goes_on.wait(60)

    monkeypatch.setattr(keys, "check_file", hang)
    monkeypatch.setattr(lost_keys, "COUNT_SECONDS", COUNT_SECONDS)
    key_files = KeyFiles(made.engine, made.place.settings.keys, OF_WEB)
    for _ in range(2):
        began = time.monotonic()
        assert missing_files(key_files) == {}
        assert time.monotonic() - began < COUNT_SECONDS + 5
    goes_on.set()
    monkeypatch.setattr(lost_keys, "COUNT_SECONDS", 20.0)
    assert missing_files(key_files) == NONE


def test_a_count_that_is_expensive_is_rare(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads whole tables while a file is missing: a scrape in between has the last count."""
    asked: list[Path] = []

    def slow(_connection: Connection, folder: Path, _purposes: object) -> list[LostKey]:
        asked.append(folder)
        time.sleep(0.05)
        return []

    monkeypatch.setattr(lost_keys, "find", slow)
    monkeypatch.setattr(lost_keys, "REST", 10_000)
    key_files = KeyFiles(made.engine, made.place.settings.keys, OF_WEB)
    assert [missing_files(key_files) for _ in range(3)] == [NONE] * 3
    assert len(asked) == 1


def test_without_its_database_there_is_no_count(made: World, tmp_path: Path) -> None:
    """Only the database says which keys are needed."""
    engine = open_engine(f"sqlite:///{tmp_path}/nothing/control.sqlite")
    assert missing_files(KeyFiles(engine, made.place.settings.keys, OF_WEB)) == {}
