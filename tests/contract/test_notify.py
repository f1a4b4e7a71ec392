from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, World, things, world
from sqlalchemy import select, update

from portability import exports, models, notify, requests, retries
from portability.api import Gap
from portability.db import reading, writing
from portability.notify import Kind
from portability.states import ExportState
from worker import lost

TABLE = models.notification


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {"made": MadeUpExporter(things(10))}, database_url=control_url)


def told(made: World, identifier: str) -> list[str]:
    with reading(made.engine) as connection:
        return [row["kind"] for row in notify.messages(connection, identifier)]


def rows(made: World) -> list[dict[str, Any]]:
    with reading(made.engine) as connection:
        return [dict(row) for row in connection.execute(select(TABLE)).mappings()]


def test_a_request_is_acknowledged_once(made: World) -> None:
    """Whoever asks is told so at once; asking again for the same is the same request (11 CCR 7021(a))."""
    identifier = made.request()
    assert made.request() == identifier

    assert told(made, identifier) == ["acknowledged"]


def test_what_is_rolled_back_is_not_told(made: World) -> None:
    """A notification is part of the change that it tells of."""
    asked = requests.check(profile="access", subject="user:usr_1")
    with suppress(ZeroDivisionError), writing(made.engine) as connection:
        requests.accept(connection, asked, actor="operator:test")
        raise ZeroDivisionError

    assert rows(made) == []


def test_the_last_state_is_told(control_url: str, tmp_path: Path) -> None:
    """Ready or failed: each with one notification, written with the state."""
    gap = {0: [Gap("thing", "missing", retryable=False)]}
    made = world(tmp_path, {"made": MadeUpExporter(things(10), gaps=gap)}, database_url=control_url)
    ready, failed = made.request("user:usr_1"), made.request("user:usr_2", require_complete=True)
    made.advance_all()

    assert [made.view(identifier)["state"] for identifier in (ready, failed)] == ["ready", "failed"]
    assert told(made, ready) == ["acknowledged", "ready"]
    assert told(made, failed) == ["acknowledged", "failed"]


def test_whoever_cancels_knows(made: World) -> None:
    """Nothing is told of an export that was cancelled on request."""
    identifier = made.request()
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")

    assert told(made, identifier) == ["acknowledged"]


def test_of_a_retried_export_everything_is_told_anew(made: World) -> None:
    """Ready, then a volume is lost, then ready again: each of them, though the revision is the same."""
    identifier = made.request()
    made.advance_all()
    lost.fail(made.engine, identifier, [1], actor="clock")
    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor="operator:test")
    made.advance_all()

    assert made.view(identifier)["state"] == ExportState.READY
    assert told(made, identifier) == ["acknowledged", "ready", "failed", "ready"]


def test_the_same_occasion_is_told_once(made: World) -> None:
    """A second time is no second notification, until the archive has another revision."""
    identifier = made.request()
    with writing(made.engine) as connection:
        assert notify.queue(connection, Kind.EXPIRING, identifier) is not None
        assert notify.queue(connection, Kind.EXPIRING, identifier) is None
        assert notify.queue(connection, Kind.CODE, identifier, occasion="code_1") is not None
        assert notify.queue(connection, Kind.CODE, identifier, occasion="code_2") is not None
        connection.execute(update(models.export).values(revision=2))
        assert notify.queue(connection, Kind.EXPIRING, identifier) is not None


def test_codes_are_no_messages(made: World) -> None:
    """A page that shows messages never shows that a code was sent, nor anything of it."""
    identifier = made.request()
    with writing(made.engine) as connection:
        notify.queue(connection, Kind.CODE, identifier, occasion="code_1")

    assert told(made, identifier) == ["acknowledged"]


def test_a_row_holds_nothing_of_a_person(made: World) -> None:
    """Neither address nor text nor code: opaque ids and words of ours."""
    made.request("user:usr_canary")
    (row,) = rows(made)

    assert "canary" not in str(row)
    assert row["language"] is None
