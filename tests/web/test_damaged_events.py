"""Pages that show the audit log, with events that someone has changed so that no one can read them."""

from __future__ import annotations

import re
from pathlib import Path

from served import Served, serving
from sqlalchemy import text
from workers import until

from portability.database.engine import writing
from portability.trust import audit

DAMAGES = ("detail = '{'", "detail = '[]'", 'detail = \'{"a": "\\ud800"}\'', "at = 'yesterday'", "actor = x'ff00'")


def damage(server: Served, action: str, change: str) -> None:
    """Change the events of an action, as someone does who may disable triggers."""
    with writing(server.world.engine) as connection:
        connection.execute(text("DROP TRIGGER IF EXISTS audit_event_append_only_update"))
        connection.exec_driver_sql(f"UPDATE audit_event SET {change} WHERE action = '{action}'")  # noqa: S608  # of this test


def downloads_of(page: str) -> list[str]:
    """The lines of the list of downloads."""
    lines = re.findall(r"<li>(.*?)</li>", page.partition('id="downloads"')[2].partition("</ul>")[0], re.DOTALL)
    return [re.sub(r"<[^>]+>|\s+", " ", line).strip() for line in lines]


def test_the_pages_of_a_request_are_shown_with_its_damaged_events(served: Served) -> None:
    """The person reads that a record of a download was changed, staff read which events; neither page fails."""
    export_id = served.ready("user:usr_reader")
    with served.browser("usr_reader") as visitor:
        claimed = visitor.send(f"/me/exports/{export_id}/volumes/1", page="/me")
        assert visitor.client.get(claimed.headers["location"]).status_code == 200
        page = f"/me/exports/{export_id}"
        until(lambda: bool(downloads_of(visitor.client.get(page).text)), "the download is recorded")
        assert downloads_of(visitor.client.get(page).text)[0].endswith("· file 1 · complete")
        damage(served, "request.accepted", "detail = '{'")
        for change in DAMAGES[:4]:
            damage(served, "link.downloaded", change)
            shown = visitor.client.get(page)
            assert shown.status_code == 200, change
            (line,) = downloads_of(shown.text)
            assert re.fullmatch(r"Event \d+ cannot be read: its values were changed\.", line)
    with served.browser("sam", "staff") as colleague:
        shown = colleague.client.get(f"/staff/exports/{export_id}")
        assert shown.status_code == 200
        assert shown.text.count("cannot be read: its values were changed.") == 2


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
