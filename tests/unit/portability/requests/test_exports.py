from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from factories import World
from sqlalchemy import Connection, update

from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import UnknownExport, WrongState
from portability.requests import exports, slices
from portability.requests.states import EXPORTS, OPEN, ExportState
from portability.trust import audit

pytestmark = pytest.mark.slow

ACTOR = "operator:test"


def cancel(made: World, identifier: str) -> ExportState:
    with writing(made.engine) as connection:
        return exports.cancel(connection, identifier, actor=ACTOR)


def actions(made: World, identifier: str) -> list[str]:
    with reading(made.engine) as connection:
        return [event["action"] for event in audit.events(connection, export_id=identifier)]


def progress(connection: Connection, identifier: str) -> dict[str, int | None]:
    return exports.progress(exports.ledger(connection, identifier), slices.of(connection, identifier))


def test_an_end_is_an_end() -> None:
    """Queued, running and closing are open; what has ended ends again or is retried; no state follows itself."""
    assert {ExportState.QUEUED, ExportState.RUNNING, ExportState.CLOSING} == OPEN
    assert not EXPORTS[ExportState.CANCELLED].next
    assert all(state not in meaning.next for state, meaning in EXPORTS.items())
    assert set(EXPORTS) == set(ExportState)


def test_a_queued_export_is_cancelled_at_once(made: World) -> None:
    """No worker has claimed it, so it ends at once; no worker ever claims it."""
    identifier = made.request()
    assert cancel(made, identifier) is ExportState.CANCELLED
    assert made.view(identifier)["state"] == "cancelled"
    assert made.view(identifier)["ended_at"] is not None
    assert made.claim() is None
    assert actions(made, identifier)[-2:] == ["export.cancel_requested", "export.cancelled"]


def test_a_running_export_is_asked_to_stop(made: World) -> None:
    """Its worker ends it at the next checkpoint; until then it is running, and the view tells what was asked."""
    identifier = made.request()
    assert made.claim() is not None
    assert cancel(made, identifier) is ExportState.RUNNING
    assert made.view(identifier)["cancel_requested"] is True


def test_cancelling_twice_is_no_error(made: World) -> None:
    """The same wish again changes nothing, before and after the end."""
    identifier = made.request()
    assert made.claim() is not None
    cancel(made, identifier)
    assert cancel(made, identifier) is ExportState.RUNNING
    queued = made.request("user:usr_2")
    assert [cancel(made, queued), cancel(made, queued)] == [ExportState.CANCELLED] * 2


def test_what_is_ready_cannot_be_cancelled(made: World) -> None:
    """An archive that is delivered is not taken back by cancelling; the error names the state."""
    identifier = made.request()
    made.advance_all()
    with pytest.raises(WrongState, match="is already ready"):
        cancel(made, identifier)
    assert made.view(identifier)["cancel_requested"] is False


def test_an_unknown_export_is_bad_input(made: World) -> None:
    """Without an id there is no export: the same error for every action."""
    with pytest.raises(UnknownExport):
        made.view("nothing")
    with pytest.raises(UnknownExport):
        cancel(made, "nothing")


def test_the_view_has_what_the_contract_names_and_no_subject(made: World) -> None:
    """`id, state, complete, due_at, datasets, volumes, error` are a contract; the subject's own id is not shown."""
    identifier = made.request("user:jane")
    made.advance_all()
    view = made.view(identifier)
    assert view.keys() >= {"id", "state", "complete", "due_at", "datasets", "volumes", "error"}
    assert view["datasets"] == [
        {"exporter": "made", "dataset": "things", "state": "complete", "records": 4, "files": 0, "gaps": 0}
    ]
    (volume,) = view["volumes"]
    assert volume.keys() == {"number", "name", "bytes", "sha256"}
    assert "jane" not in str(view)


def test_progress_knows_what_is_expected_only_if_every_exporter_counts(made: World) -> None:
    """A sum with an unknown part is unknown, not too small."""
    identifier = made.request()
    with reading(made.engine) as connection:
        assert progress(connection, identifier)["records_expected"] is None
    made.advance_all()
    with reading(made.engine) as connection:
        done = progress(connection, identifier)
    assert (done["datasets"], done["datasets_expected"], done["records"]) == (1, 1, 4)
    assert done["records_expected"] is None


def test_the_view_counts_what_was_replaced_or_reported(made: World) -> None:
    """By rule, and only where something was."""
    identifier = made.request()
    made.advance_all()
    with writing(made.engine) as connection:
        connection.execute(update(models.ledger).values(redactions={"staff": 2}, findings={}))
    (line,) = made.view(identifier)["datasets"]
    assert (line["redactions"], "findings" in line) == ({"staff": 2}, False)


def test_progress_counts_what_open_volumes_have_read() -> None:
    """Two of five datasets are read to their end, and the open volume of one of two slices has read a third."""
    row = {"records": 2, "files": 1, "bytes": 10, "expected_records": 4, "expected_bytes": None}
    lines: Any = [row | {"state": state} for state in ("complete", "empty", "pending", "pending", "pending")]
    volume = {"datasets": 1, "records": 3, "files": 0, "bytes": 5}
    parts: Any = [{"progress": None, "state": "open"}, {"progress": {}, "state": "done"}]
    assert exports.progress(lines, parts) == {
        "datasets": 2,
        "datasets_expected": 5,
        "records": 10,
        "files": 5,
        "bytes": 50,
        "records_expected": 20,
        "bytes_expected": None,
        "slices": 1,
        "slices_expected": 2,
    }
    parts[0]["progress"] = volume
    done = exports.progress(lines, parts)
    assert (done["datasets"], done["records"], done["files"], done["bytes"]) == (3, 13, 5, 55)


def test_recent_shows_the_newest_first(made: World) -> None:
    """As many as requested, in one state if given, with the number of their records."""
    first, second = made.request(), made.request("user:usr_2")
    with writing(made.engine) as connection:
        earlier = datetime(2026, 1, 1, tzinfo=UTC)
        connection.execute(update(models.export).where(models.export.c.id == first).values(created_at=earlier))
    cancel(made, first)
    with reading(made.engine) as connection:
        assert [row["id"] for row in exports.recent(connection)] == [second, first]
        assert [row["id"] for row in exports.recent(connection, limit=1)] == [second]
        assert [row["id"] for row in exports.recent(connection, state="cancelled")] == [first]
        assert [row["records"] for row in exports.recent(connection)] == [0, 0]
    made.advance_all()
    with reading(made.engine) as connection:
        assert [row["records"] for row in exports.recent(connection)] == [4, 0]


def test_times_are_written_in_utc_with_z() -> None:
    """RFC 3339, from any time zone; a missing time stays null."""
    jakarta = datetime(2026, 11, 24, 7, tzinfo=timezone(timedelta(hours=7)))
    assert rfc3339(jakarta) == "2026-11-24T00:00:00Z"
    assert rfc3339(None) is None
