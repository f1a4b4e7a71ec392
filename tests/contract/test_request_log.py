"""The request log on both databases: scopes are walls, pages neither repeat nor hide, cells are no formulas."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from factories import World, world
from sqlalchemy import update

from portability import models, request_log
from portability.db import now, reading, writing
from portability.errors import BadInput
from portability.request_log import Scope


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {}, database_url=control_url)


def test_a_scope_is_a_wall(made: World) -> None:
    """A subject's has their own, a company's has its contacts and itself, and no person with an account."""
    person = made.request("user:usr_1")
    contact = made.request("contact:con_1", tenant="ten_a")
    company = made.request("tenant:ten_a", profile="switch")
    other = made.request("contact:con_1", tenant="ten_b")
    ref = made.view(person)["subject"]
    with reading(made.engine) as connection:
        mine, _ = request_log.page(connection, Scope(subject_ref=ref))
        theirs, _ = request_log.page(connection, Scope(tenant="ten_a"))
        everything, _ = request_log.page(connection, Scope())
        found, _ = request_log.page(connection, Scope(tenant="ten_a"), search=other)
    assert [row["id"] for row in mine] == [person]
    assert {row["id"] for row in theirs} == {contact, company}
    assert len(everything) == 4
    assert found == []


def test_pages_neither_repeat_nor_hide(made: World) -> None:
    """Also where many came in at the same moment, and where more come in meanwhile."""
    ids = {made.request(f"user:usr_{n}") for n in range(7)}
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(created_at=now(-60)))
    with reading(made.engine) as connection:
        moment = connection.execute(models.export.select()).mappings().all()[0]["created_at"]
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(created_at=moment))
    seen: list[str] = []
    after = None
    while True:
        with reading(made.engine) as connection:
            rows, after = request_log.page(connection, Scope(), after=after, limit=2)
        seen += [row["id"] for row in rows]
        if after is None:
            break
        made.request(f"user:usr_later_{len(seen)}")
    assert len(seen) == len(set(seen))
    assert set(seen) == ids


@pytest.mark.parametrize("cursor", ["", "x", "bm9uc2Vuc2U", "MjAyNi0wMS0wMVQwMDowMDowMCBh", "\u00e9", "A" * 200])
def test_a_cursor_that_is_none_of_ours_is_bad_input(made: World, cursor: str) -> None:
    """Whatever it decodes to."""
    with reading(made.engine) as connection, pytest.raises(BadInput):
        request_log.page(connection, Scope(), after=cursor)


def test_counts_and_the_queue_tell_what_is_urgent(made: World) -> None:
    """Overdue, due within a day, to approve, failed; the most urgent first."""
    late = made.request("user:usr_late", received_at="2026-01-01")
    calm = made.request("user:usr_calm")
    with writing(made.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == calm).values(due_at=now(3600)))
    review = made.request("user:usr_review")
    failed = made.request("user:usr_failed")
    with writing(made.engine) as connection:
        for export_id, state in ((review, "review"), (failed, "failed")):
            connection.execute(update(models.export).where(models.export.c.id == export_id).values(state=state))
    with reading(made.engine) as connection:
        counts = request_log.counts(connection, Scope())
        queue = [row["id"] for row in request_log.by_due_date(connection, Scope())]
    assert counts == {"open": 3, "overdue": 1, "soon": 1, "review": 1, "failed": 1}
    assert queue == [late, calm, review]


def test_no_cell_is_a_formula_and_no_id_is_told(made: World) -> None:
    """Reasons that begin as formulas do are defused; the platform's own ids are not in the log."""
    made.request("user:usr_secret", reason='=HYPERLINK("x")\r\n"quoted", too')
    with reading(made.engine) as connection:
        rows, _ = request_log.page(connection, Scope())
        text = request_log.table(rows)
    (told,) = csv.DictReader(io.StringIO(text, newline=""))
    assert told["reason"] == '\'=HYPERLINK("x")\r\n"quoted", too'
    assert told["requested_by"] == "operator"
    assert "usr_secret" not in text
    assert text.splitlines()[0] == ",".join(request_log.COLUMNS)
