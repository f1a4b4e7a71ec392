"""`portability reconcile` and its check of the doctor, as an operator uses them after a restore."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from factories import World, world
from going_back import Backups, journal_of

from cli import journal_check
from portability.database import history
from portability.database.engine import reading
from portability.journal import comparison

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path, {}, database_url=f"sqlite:///{tmp_path}/portability.sqlite").with_all_keys()


@pytest.fixture
def backups(made: World) -> Backups:
    return Backups(made, None)


def events(done: Result) -> list[tuple[str, str]]:
    return [(event["action"], event["outcome"]) for event in json.loads(done.stdout)["events"]]


def check(run: Run) -> dict[str, Any]:
    (found,) = [one for one in checks(run) if one["check"] == "journal"]
    return dict(found)


def checks(run: Run, *options: str) -> list[dict[str, Any]]:
    return list(json.loads(run("doctor", *options, "--json").stdout)["checks"])


def test_nothing_lost_is_one_line(made: World, run: Run) -> None:
    """Safe to run at any time, and twice."""
    made.request()
    for _ in range(2):
        done = run("reconcile")
        assert (done.exit_code, done.stdout.strip()) == (0, "nothing is lost")
    assert json.loads(run("reconcile", "--json").stdout) == {
        "dry_run": False,
        "events": [],
        "inform": [],
        "unusable": [],
    }


def test_an_operator_restores_what_a_backup_lacks(run: Run, backups: Backups) -> None:
    """Doctor and sweep refuse first; a rehearsal says what would be done; then all works, and the losses are kept."""
    asked = run("request", "--subject", "user:usr_1", "--profile", "access", "--json")
    assert asked.exit_code == 0, asked.output
    before = backups.take()
    lost = json.loads(run("request", "--subject", "user:usr_2", "--profile", "access", "--json").stdout)["id"]
    assert check(run)["ok"]
    backups.restore(before)

    assert check(run)["code"] == "database_behind"
    assert json.loads(run("sweep", "--json").stdout)["error"]["code"] == "database_behind"
    assert events(run("reconcile", "--dry-run", "--json")) == [("request.accepted", "restored")]
    assert lost not in run("list", "--json").stdout
    done = run("reconcile")
    assert done.exit_code == 0
    assert "1 restored" in done.stdout
    assert lost in done.stdout
    assert lost in run("list", "--json").stdout
    assert check(run)["ok"]
    assert run("sweep").exit_code == 0
    assert events(run("reconcile", "--earlier", "--json")) == [("request.accepted", "restored")]


def test_a_start_of_the_stack_waits_for_a_comparison(
    made: World, run: Run, monkeypatch: pytest.MonkeyPatch, backups: Backups
) -> None:
    """A file of SQLite does not tell that it is an older copy: no page serves a link before the clock has compared."""
    storage = made.place.storage
    assert comparison.settle(made.engine, storage)
    backups.restore(backups.take())
    ended = threading.Event()
    ended.set()
    monkeypatch.setattr("cli.demo.stop_event", lambda: ended)
    monkeypatch.setattr("cli.demo.embedded.running", lambda *_settings, **_options: nullcontext())
    assert run("up").exit_code == 0
    with reading(made.engine) as connection:
        assert not history.is_known(connection)
    assert check(run)["code"] == "database_behind"
    (before,) = [one for one in checks(run, "--before-start") if one["check"] == "journal"]
    assert before["ok"], "nothing is lost, and the clock says so when it starts"
    assert comparison.settle(made.engine, storage)
    assert check(run)["ok"]


def test_a_person_who_heard_of_something_lost_is_named(made: World, run: Run, backups: Backups) -> None:
    """A link whose export the database has cancelled since; its event says which export it is about."""
    identifier = made.request()
    journal_of(made).ship()
    before = backups.take()
    with closing(sqlite3.connect(made.engine.url.database or "")) as connection:
        connection.execute("update export set state = 'ready'")
        connection.commit()
    token = run("link", identifier, "--json")
    assert token.exit_code == 0, token.output
    backups.restore(before)
    assert run("cancel", identifier).exit_code == 0
    done = run("reconcile", "--json")
    assert events(done) == [("link.issued", "changed")]
    document = json.loads(done.stdout)
    assert document["inform"] == [document["events"][0]["about"]] == [identifier]


def test_a_journal_that_is_late_is_a_fault(made: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a clock, and with storage away, what is committed can be lost."""
    made.request()
    monkeypatch.setattr(journal_check, "LATE", timedelta(seconds=-1))
    assert check(run)["code"] == "journal_late"
    (found,) = (each for each in checks(run, "--before-start") if each["check"] == "journal")
    assert found["ok"]
    assert found["result"].startswith("ok: a clock will copy ")
    journal_of(made).ship()
    assert check(run)["ok"]


def test_a_command_does_not_end_before_its_events_are_stored(made: World, run: Run) -> None:
    """What an operator reads is in the journal when the command returns."""
    run("request", "--subject", "user:usr_1", "--profile", "access")
    assert len([key for key in made.stored_keys() if key.startswith("journal/")]) == 1
    run("holds", "add", "--subject", "user:usr_1", "--reason", "a lawsuit")
    assert len([key for key in made.stored_keys() if key.startswith("journal/")]) == 2
    run("list")
    assert len([key for key in made.stored_keys() if key.startswith("journal/")]) == 2


def test_a_storage_that_is_away_does_not_stop_a_command(
    made: World, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The request is accepted; its event is shipped later."""
    monkeypatch.setenv("PORTABILITY_STORAGE_URL", "s3://nothing?endpoint=http://127.0.0.1:1")
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", f"sqlite:///{tmp_path}/portability.sqlite")
    monkeypatch.setenv("PORTABILITY_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", f"sqlite:///{tmp_path}/platform.sqlite")
    done = run("request", "--subject", "user:usr_1", "--profile", "access", "--json")
    assert "id" in json.loads(done.stdout), done.stdout
    assert made.view(json.loads(done.stdout)["id"])["state"] in {"queued", "review"}
