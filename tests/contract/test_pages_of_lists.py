"""Lists that grow: a page stays small, the newest rows are seen first, and no row is lost or shown twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import World
from long_history import statements_of
from sqlalchemy import Connection, insert

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading, writing
from portability.desk import notes
from portability.people import sessions
from portability.requests import exports, page_cursors, timelines
from portability.transfers import recipient_lists
from portability.trust import audit

COUNT, LIMIT = 2000, 100
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
Page = tuple[Sequence[Any], str | None]
ACTOR = {"actor": "staff:sam", "action": "request.read", "detail": {}}
RECIPIENT = {
    **dict.fromkeys(("name", "domain", "age_key", "jwks_url", "webhook_url", "webhook_kid", "created_by"), "x"),
    "country": "DE",
    "mechanism": "adequacy",
}
SESSION = dict.fromkeys(("content", "device", "address"), "x") | {"expires_at": BEGAN + timedelta(days=36_500)}


def moment_of(number: int) -> datetime:
    """Three rows have the same time."""
    return BEGAN + timedelta(seconds=number // 3)


def add_events(connection: Connection, export_id: str, numbers: range) -> None:
    rows = [{**ACTOR, "entry": f"{n:032x}", "at": moment_of(n), "export_id": export_id} for n in numbers]
    connection.execute(insert(models.audit_unchained), rows)


def add_notes(connection: Connection, export_id: str, numbers: range) -> None:
    common = {"export_id": export_id, "about": "request", "written_by": "staff:sam", "text": "x"}
    rows = [{**common, "id": f"note_{n:08}", "written_at": moment_of(n)} for n in numbers]
    connection.execute(insert(models.desk_note), rows)


def add_recipients(connection: Connection, _export_id: str, numbers: range) -> None:
    rows = [
        {**RECIPIENT, "id": f"rcp_{n:08}", "created_at": moment_of(n), "approved_at": moment_of(n)} for n in numbers
    ]
    connection.execute(insert(models.recipient), rows)


def add_sessions(connection: Connection, _export_id: str, numbers: range) -> None:
    person = sessions._named("salt", "person", "of")
    common = {**SESSION, "person": person}
    rows = [
        {**common, "id": f"ses_{n:08}", "token_sha256": f"{n}", "created_at": moment_of(n), "seen_at": moment_of(n)}
        for n in numbers
    ]
    connection.execute(insert(models.session), rows)


def read_events(connection: Connection, export_id: str, after: str | None) -> Page:
    found, following = timelines.page(connection, export_id, after=after, limit=LIMIT)
    return [event["entry"] for event in found if event["actor"] == "staff:sam"], following


def read_notes(connection: Connection, export_id: str, after: str | None) -> Page:
    found, following = notes.page(connection, exports.get(connection, export_id), after=after, limit=LIMIT)
    return [row["id"] for row in found], following


def read_recipients(connection: Connection, _export_id: str, after: str | None) -> Page:
    found, following = recipient_lists.newest(connection, after=after, limit=LIMIT)
    return [row["id"] for row in found], following


def read_sessions(connection: Connection, _export_id: str, after: str | None) -> Page:
    last = page_cursors.decoded(after) if after else None
    found = sessions.of_person(connection, "salt", "of", limit=LIMIT + 1, after=last)
    following = page_cursors.encoded(found[LIMIT - 1].created_at, found[LIMIT - 1].id) if len(found) > LIMIT else None
    return [row.id for row in found[:LIMIT]], following


@pytest.mark.slow
@pytest.mark.parametrize(
    ("add", "read"),
    [
        (add_events, read_events),
        (add_notes, read_notes),
        (add_recipients, read_recipients),
        (add_sessions, read_sessions),
    ],
)
def test_a_long_list_is_read_page_by_page(
    made: World, add: Callable[[Connection, str, range], None], read: Callable[[Connection, str, str | None], Page]
) -> None:
    """While rows arrive; events are chained meanwhile, and get other ids."""
    export_id = made.request()
    with writing(made.engine) as connection:
        add(connection, export_id, range(COUNT))
    found: list[str] = []
    after: str | None = None
    for number in range(COUNT):
        with reading(made.engine) as connection, statements_of(made.engine) as statements:
            page, after = read(connection, export_id, after)
        assert len(page) <= LIMIT
        assert len(statements) <= 4
        found += page
        if not after:
            break
        with writing(made.engine) as connection:
            add(connection, export_id, range(COUNT + number, COUNT + number + 1))
        if number == 2:
            audit.chain_all(made.engine)
    assert (len(found), len(set(found))) == (COUNT, COUNT)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_cursor_with_a_time_that_utc_cannot_express_is_refused(at: str) -> None:
    """No page gives it: the query would fail at such a time."""
    cursor = page_cursors.encoded(datetime.fromisoformat(at), "note_1")
    with pytest.raises(BadInput, match="invalid cursor"):
        page_cursors.decoded(cursor)


@pytest.mark.parametrize("read", [read_events, read_notes, read_recipients])
@pytest.mark.parametrize("cursor", ["x", "bm9uc2Vuc2U"])
def test_a_cursor_that_no_page_gave_is_refused(made: World, read: Callable[..., Page], cursor: str) -> None:
    """With the error that all lists have."""
    export_id = made.request()
    with reading(made.engine) as connection, pytest.raises(BadInput, match="invalid cursor"):
        read(connection, export_id, cursor)


def test_an_event_of_another_request_is_no_place(made: World) -> None:
    """A cursor is of one timeline: another's would begin anywhere."""
    first, second = made.request(), made.request("user:usr_2")
    with writing(made.engine) as connection:
        add_events(connection, first, range(3))
    with reading(made.engine) as connection:
        _events, after = timelines.page(connection, first, limit=1)
        with pytest.raises(BadInput, match="invalid cursor"):
            timelines.page(connection, second, after=after)


def test_recipients_that_wait_for_an_approval_come_first(made: World) -> None:
    """The API has the oldest first, as before; people without the right see approved recipients only."""
    with writing(made.engine) as connection:
        add_recipients(connection, "", range(5))
        waiting = [
            {**RECIPIENT, "id": f"rcp_waits{n}", "created_at": moment_of(0), "approved_at": None} for n in range(2)
        ]
        connection.execute(insert(models.recipient), waiting)
    with reading(made.engine) as connection:
        shown, following = recipient_lists.newest(connection, limit=4)
        rest, last = recipient_lists.newest(connection, after=following, limit=4)
        oldest, more = recipient_lists.oldest(connection, approved_only=True, limit=3)
        others, end = recipient_lists.oldest(connection, approved_only=True, after=more, limit=3)
        everything, _next = recipient_lists.oldest(connection, approved_only=False)
    assert [row["id"][-1] for row in (*shown, *rest)] == ["1", "0", "4", "3", "2", "1", "0"]
    assert [row["id"][-1] for row in (*oldest, *others)] == ["0", "1", "2", "3", "4"]
    assert (last, end, len(everything)) == (None, None, 7)
