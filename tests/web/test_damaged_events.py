"""The page of the audit log, with events that someone has changed so that no one can read them."""

from __future__ import annotations

from pathlib import Path

from served import serving
from sqlalchemy import text

from portability.database.engine import writing
from portability.trust import audit

DAMAGES = ("detail = '{'", "detail = '[]'", 'detail = \'{"a": "\\ud800"}\'', "at = 'yesterday'", "actor = x'ff00'")


def test_events_that_cannot_be_read_are_named_and_the_others_are_shown(redis_server: str, tmp_path: Path) -> None:
    """By number, in the place where they were; the check of the chain names the first of them."""
    with serving(tmp_path, redis_server) as server, server.browser("ann", "auditor") as visitor:
        with writing(server.world.engine) as connection:
            for _ in range(2 * len(DAMAGES)):
                audit.record(connection, "thing.done", actor="staff:sam")
            damaged = range(audit.head(connection).event_id, 0, -2)[: len(DAMAGES)]
            connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
            for event, damage in zip(damaged, DAMAGES, strict=True):
                connection.exec_driver_sql(f"UPDATE audit_event SET {damage} WHERE id = {event}")  # noqa: S608  # of this test
        for asked in ({}, {"action": "thing.done"}, {"check": "1"}):
            answer = visitor.client.get("/staff/audit", params=asked)
            assert answer.status_code == 200
            log = answer.text.partition('<ol class="log"')[2]
            named = [event for event in damaged if f"Event {event} cannot be read" in log]
            assert named == list(damaged)
            assert log.count("thing.done</code>") == 5
        assert f"broken at event {min(damaged)}" in answer.text
