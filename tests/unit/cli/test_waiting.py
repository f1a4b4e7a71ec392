"""`request --wait`: what is printed while it waits, and when it ends without the export."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from click.testing import Result
from factories import World
from sqlalchemy import update

from cli import requests, waiting
from cli.context import Context
from portability.database import models
from portability.database.engine import writing
from portability.errors import QueueUnavailable
from portability.queue import VALKEY_URL_FILE
from portability.requests.states import ExportState

Run = Callable[..., Result]

ASK = ("request", "--profile", "access", "--subject", "user:usr_1", "--wait")


@pytest.fixture
def workers(made: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A queue that takes wake-ups, and how many workers listen to it."""
    listening = [1]
    (made.folder / VALKEY_URL_FILE).write_text("redis://127.0.0.1:1/0")
    monkeypatch.setattr(requests, "wake", lambda *_: None)
    monkeypatch.setattr(waiting, "count_workers", lambda _queue: listening[0])
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    return listening


def change_export(made: World, **values: object) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(**values))


def on_look(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Let these happen one after the other, before each look at the export."""
    left, look = list(steps), waiting.WatchedExport.look

    def happen(watched: waiting.WatchedExport, context: Context) -> None:
        if left:
            left.pop(0)()
        look(watched, context)

    monkeypatch.setattr(waiting.WatchedExport, "look", happen)


@pytest.mark.usefixtures("workers")
def test_lines_are_printed_where_no_terminal_shows_a_bar(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the state at once, on standard error; the answer is on standard output."""
    on_look(monkeypatch, lambda: None, made.advance_all)
    done = run(*ASK)
    (export,) = json.loads(run("list", "--json").stdout)
    assert (done.exit_code, export["state"]) == (0, "ready")
    assert done.stderr.splitlines() == [
        f"export {export['id']} queued: 0/0 datasets, 0 files",
        f"export {export['id']} ready: 1/1 datasets, 0 files",
    ]


def test_without_a_worker_the_wait_ends(run: Run, made: World, workers: list[int]) -> None:
    """Exit code 1 with the reason and a hint; the request is kept, and under `--json` the error is JSON."""
    workers[0] = 0
    done = run(*ASK)
    assert done.exit_code == 1
    assert "no worker is running [timeout]  hint: start `portability up`" in done.stderr
    (export,) = json.loads(run("list", "--json").stdout)
    assert export["state"] == "queued"
    assert f"portability show {export['id']}" in done.stderr
    assert json.loads(run(*ASK, "--json").stdout)["error"]["code"] == "timeout"
    assert made.advance_all() > 0


def test_a_redis_that_goes_away_ends_the_wait(run: Run, workers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis no worker can be woken: the error names Redis."""
    del workers

    def away(_queue: object) -> int:
        raise QueueUnavailable("Redis does not answer: ConnectionError")

    monkeypatch.setattr(waiting, "count_workers", away)
    done = run(*ASK)
    assert done.exit_code == 1
    assert "Redis does not answer: ConnectionError [queue_unavailable] [timeout]" in done.stderr


@pytest.mark.usefixtures("workers")
def test_an_export_that_backs_off_ends_the_wait_with_its_reason(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage is away, for example: the code and message of the last try."""
    failed = {"state": ExportState.RUNNING, "error_code": "storage_unavailable", "error_message": "s3 is away"}
    on_look(monkeypatch, lambda: change_export(made, **failed))
    done = run(*ASK)
    assert done.exit_code == 1
    assert "s3 is away [storage_unavailable] [timeout]" in done.stderr


def _wait_for_source(made: World, **progress: object) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state=ExportState.RUNNING))
        connection.execute(update(models.slice).values(progress=progress))


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize(
    ("code", "seen"), [("source_unavailable", "fails [source_unavailable]"), (None, "has not answered yet")]
)
def test_a_source_of_which_nothing_can_be_read_ends_the_wait(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch, code: str | None, seen: str
) -> None:
    """With the dataset that is waited for."""
    on_look(monkeypatch, lambda: _wait_for_source(made, waits_for="crm/contacts", code=code))
    done = run(*ASK)
    assert done.exit_code == 1
    assert f"the source of crm/contacts {seen} [timeout]" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("workers")
def test_a_source_that_fails_after_others_were_read_is_waited_for(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive comes, with a gap: the wait goes on."""
    seen = threading.Event()

    def end() -> None:
        change_export(made, state=ExportState.QUEUED)
        with writing(made.engine) as connection:
            connection.execute(update(models.slice).values(progress=None))
        made.advance_all()
        seen.set()

    def read_some() -> None:
        _wait_for_source(made, waits_for="crm/contacts", code="source_unavailable", records=3)

    on_look(monkeypatch, read_some, lambda: None, end)
    assert run(*ASK).exit_code == 0
    assert seen.is_set()
