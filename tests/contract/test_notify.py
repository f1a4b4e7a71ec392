from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from factories import MadeUpExporter, World, things, world
from sqlalchemy import select, update

from portability.api import Gap
from portability.database import deployment, models
from portability.database.engine import reading, writing
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import acceptance, exports, retries
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from worker.clock import lost_volumes

TABLE = models.notification


def message_kinds(made: World, identifier: str) -> list[str]:
    with reading(made.engine) as connection:
        return [row["kind"] for row in outbox.messages(connection, [identifier])]


def stored_rows(made: World) -> list[dict[str, Any]]:
    with reading(made.engine) as connection:
        return [dict(row) for row in connection.execute(select(TABLE)).mappings()]


def test_a_request_is_acknowledged_once(made: World) -> None:
    """The requester is informed at once; the same request again is one request (11 CCR 7021(a))."""
    identifier = made.request()
    assert made.request() == identifier

    assert message_kinds(made, identifier) == ["acknowledged"]


def test_the_first_message_has_the_occasion_of_the_first_attempt(made: World) -> None:
    """It is written without asking the database for the occasion, which later messages are compared with."""
    identifier = made.request()
    assert [row["occasion"] for row in stored_rows(made)] == ["1.1"]
    with writing(made.engine) as connection:
        assert outbox.present_occasion(connection, identifier) == "1.1"
        assert not outbox.queue(connection, MessageKind.ACKNOWLEDGED, identifier)
    assert len(stored_rows(made)) == 1


def test_what_is_rolled_back_is_not_reported(made: World) -> None:
    """A notification is part of the change that it tells of."""
    asked = acceptance.check(profile="access", subject="user:usr_1")
    with suppress(ZeroDivisionError), writing(made.engine) as connection:
        acceptance.accept(connection, asked, actor=Actor("operator", "test"))
        raise ZeroDivisionError

    assert stored_rows(made) == []


def test_the_last_state_is_reported(control_url: str, tmp_path: Path) -> None:
    """Ready or failed: each with one notification, written with the state."""
    gap = {0: [Gap("thing", "missing", retryable=False)]}
    made = world(tmp_path, {"made": MadeUpExporter(things(10), gaps=gap)}, database_url=control_url)
    ready, failed = made.request("user:usr_1"), made.request("user:usr_2", require_complete=True)
    made.advance_all()

    assert [made.view(identifier)["state"] for identifier in (ready, failed)] == ["ready", "failed"]
    assert message_kinds(made, ready) == ["acknowledged", "ready"]
    assert message_kinds(made, failed) == ["acknowledged", "failed"]


def test_a_cancelled_export_sends_no_message(made: World) -> None:
    """No message about an export that was cancelled on request."""
    identifier = made.request()
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")

    assert message_kinds(made, identifier) == ["acknowledged"]


def test_a_retried_export_sends_all_messages_again(made: World) -> None:
    """Ready, then a volume is lost, then ready again: each of them, though the revision is the same."""
    identifier = made.request()
    made.advance_all()
    lost_volumes.fail(made.engine, identifier, [1], deployment.clock(made.engine), actor="clock")
    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor="operator:test")
    made.advance_all()

    assert made.view(identifier)["state"] == ExportState.READY
    assert message_kinds(made, identifier) == ["acknowledged", "ready", "failed", "ready"]


def test_the_same_occasion_gives_one_message(made: World) -> None:
    """A repeated event makes no second notification, until the archive has another revision."""
    identifier = made.request()
    with writing(made.engine) as connection:
        assert outbox.queue(connection, MessageKind.EXPIRING, identifier) is not None
        assert outbox.queue(connection, MessageKind.EXPIRING, identifier) is None
        assert outbox.queue(connection, MessageKind.CODE, identifier, occasion="code_1") is not None
        assert outbox.queue(connection, MessageKind.CODE, identifier, occasion="code_2") is not None
        connection.execute(update(models.export).values(revision=2))
        assert outbox.queue(connection, MessageKind.EXPIRING, identifier) is not None


def test_codes_are_no_messages(made: World) -> None:
    """A page that shows messages never shows that a code was sent, nor anything of it."""
    identifier = made.request()
    with writing(made.engine) as connection:
        outbox.queue(connection, MessageKind.CODE, identifier, occasion="code_1")

    assert message_kinds(made, identifier) == ["acknowledged"]


def test_a_row_holds_nothing_of_a_person(made: World) -> None:
    """Neither address nor text nor code: only opaque ids and fixed words."""
    made.request("user:usr_canary")
    (row,) = stored_rows(made)

    assert "canary" not in str(row)
    assert row["language"] is None
