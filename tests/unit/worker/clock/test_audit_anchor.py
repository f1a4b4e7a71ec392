from __future__ import annotations

import threading

from factories import World
from structlog.testing import capture_logs

from portability.database.engine import reading, writing
from portability.trust import audit, audit_heads, keys
from worker.clock import audit_anchor

ISSUER = "https://export.example"


def test_the_head_is_logged_if_it_has_moved(made: World) -> None:
    """Signed, so that a line stored elsewhere proves what the audit log was; logged again only when it has grown."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        keys.ensure(connection, folder, purposes=("audit",), actor="operator:test")
    with capture_logs() as lines:
        first = audit_anchor.log_head(made.engine, folder, ISSUER, None)
        assert audit_anchor.log_head(made.engine, folder, ISSUER, first) == first
        made.request()
        second = audit_anchor.log_head(made.engine, folder, ISSUER, first)
    assert [line["last_event"] for line in lines] == [first and first.event_id, second and second.event_id]
    with reading(made.engine) as connection:
        kept = audit_heads.read(connection, lines[0]["token"])
        assert audit.verify(connection, anchor=kept).ok


def test_without_its_key_the_clock_continues(made: World) -> None:
    """A line says what is missing; nothing else waits for it."""
    stop = threading.Event()
    with capture_logs() as lines:
        assert audit_anchor.log_head(made.engine, made.place.settings.keys, ISSUER, None) is None
        stop.set()
        audit_anchor.run(made.engine, made.place.settings.keys, ISSUER, stop)
    assert [line["code"] for line in lines] == ["no_signing_key"]
