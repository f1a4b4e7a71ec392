"""Lists of `portability audit`: their ends are stated."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from factories import World
from sqlalchemy import Engine, insert, select, text, update

from portability.database import models
from portability.database.engine import now, writing
from portability.trust import audit

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


def _record(engine: Engine, count: int) -> None:
    with writing(engine) as connection:
        for _ in range(count):
            audit.record(connection, "request.read", actor="staff:sam")


def test_the_next_page_begins_after_a_number(run: Run, made: World) -> None:
    """Events that are recorded while the log is read have no number yet: the next reading shows them."""
    _record(made.engine, 3)
    common = {"at": now(), "actor": "staff:sam", "action": "request.read", "detail": {}}
    with writing(made.engine) as connection:
        for entry in ("a" * 32, "b" * 32):
            connection.execute(insert(models.audit_unchained).values(entry=entry, **common))
    shown = run("audit", "show", "--action", "request.read", "--limit", "4", "--json")
    assert (len(json.loads(shown.stdout)), shown.stderr) == (3, "")
    page = run("audit", "show", "--action", "request.read", "--limit", "2", "--json")
    assert f"--after {json.loads(page.stdout)[-1]['id']} shows the next" in page.stderr


@pytest.mark.parametrize(("count", "is_cut"), [(19, False), (20, True)])
def test_a_check_says_that_there_may_be_more_faults(run: Run, made: World, count: int, is_cut: bool) -> None:
    """It names twenty of the chain."""
    sam = models.audit_event.c.actor == "staff:sam"
    _record(made.engine, count)
    audit.chain_all(made.engine)
    with writing(made.engine) as connection:
        connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
        connection.execute(update(models.audit_event).where(sam).values(actor="staff:tom"))
    done = run("audit", "verify", "--no-storage")
    assert (done.exit_code, done.stdout.count(": edited")) == (1, count)
    assert ("there may be more" in done.stderr) is is_cut


DAMAGES = ("detail = '{'", "detail = '[]'", 'detail = \'{"a": "\\ud800"}\'', "at = 'yesterday'", "actor = x'ff00'")


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_event_that_cannot_be_read_is_named_and_the_others_are_shown(run: Run, made: World, damage: str) -> None:
    """Of the damaged event its number and its hashes are left; the reader is led to the check of the chain."""
    _record(made.engine, 3)
    with writing(made.engine) as connection:
        damaged = connection.scalars(select(models.audit_event.c.id).order_by(models.audit_event.c.id)).all()[-2]
        connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
        connection.exec_driver_sql(f"UPDATE audit_event SET {damage} WHERE id = {damaged}")  # noqa: S608  # of this test
    shown = run("audit", "show", "--action", "request.read", "--json")
    assert shown.exit_code == 0
    events = json.loads(shown.stdout)
    assert [(event["actor"], event.get("fault")) for event in events] == [
        ("staff:sam", None),
        (None, "unreadable"),
        ("staff:sam", None),
    ]
    assert (events[1]["id"], len(events[1]["hash"])) == (damaged, 64)
    assert f"event {damaged} cannot be read" in shown.stderr
    table = run("audit", "show", "--action", "request.read")
    assert (table.exit_code, table.stdout.count("staff:sam"), "unreadable" in table.stdout) == (0, 2, True)
