from __future__ import annotations

import threading
from pathlib import Path

import pytest
from factories import World, world
from structlog.testing import capture_logs

from portability import audit, audit_heads, keys
from portability.db import reading, writing
from worker import anchor

ISSUER = "https://export.example"


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path, {})


def test_the_head_is_told_where_it_has_moved(made: World) -> None:
    """Signed, so that a line kept elsewhere proves what the audit log was; told again only when it has grown."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        keys.ensure(connection, folder, purposes=("audit",), actor="operator:test")
    with capture_logs() as lines:
        first = anchor.tell(made.engine, folder, ISSUER, None)
        assert anchor.tell(made.engine, folder, ISSUER, first) == first
        made.request()
        second = anchor.tell(made.engine, folder, ISSUER, first)
    assert [line["last_event"] for line in lines] == [first and first.event_id, second and second.event_id]
    with reading(made.engine) as connection:
        kept = audit_heads.read(connection, lines[0]["token"])
        assert audit.verify(connection, anchor=kept).ok


def test_without_its_key_the_clock_goes_on(made: World) -> None:
    """A line says what is missing; nothing else waits for it."""
    stop = threading.Event()
    with capture_logs() as lines:
        assert anchor.tell(made.engine, made.place.settings.keys, ISSUER, None) is None
        stop.set()
        anchor.run(made.engine, made.place.settings.keys, ISSUER, stop)
    assert [line["code"] for line in lines] == ["no_signing_key"]
