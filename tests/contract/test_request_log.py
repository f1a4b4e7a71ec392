"""The request log on both databases: scopes are separate, pages neither repeat nor omit, cells are not formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import pytest
from factories import World
from sqlalchemy import update

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import WrongState
from portability.requests import deadline_events, exports, request_log
from portability.requests.request_log import Scope
from portability.retention import erasure_holds


def test_a_scope_is_a_wall(made: World) -> None:
    """A subject's has their own, a company's has its contacts and itself, and no person with an account."""
    person = made.request("user:usr_1")
    contact = made.request("contact:con_1", tenant="ten_a")
    company = made.request("tenant:ten_a", profile="switch")
    other = made.request("contact:con_1", tenant="ten_b")
    ref = made.view(person)["subject"]
    with reading(made.engine) as connection:
        own_rows, _ = request_log.page(connection, Scope(subject_ref=ref))
        tenants_rows, _ = request_log.page(connection, Scope(tenant="ten_a"))
        everything, _ = request_log.page(connection, Scope())
        found, _ = request_log.page(connection, Scope(tenant="ten_a"), search=other)
    assert [row["id"] for row in own_rows] == [person]
    assert {row["id"] for row in tenants_rows} == {contact, company}
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
def test_an_invalid_cursor_is_bad_input(made: World, cursor: str) -> None:
    """For any decoded text."""
    with reading(made.engine) as connection, pytest.raises(BadInput):
        request_log.page(connection, Scope(), after=cursor)


def test_counts_and_the_queue_tell_what_is_urgent(made: World) -> None:
    """Overdue, due within a day, to approve, failed; the most urgent first."""
    late = made.request("user:usr_late", received_at="2026-01-01")
    later = made.request("user:usr_later", received_at="2026-01-02")
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
        queue = [row["id"] for row in exports.recent(connection, is_unanswered=True)]
    assert counts == {"open": 5, "overdue": 2, "soon": 1, "review": 1, "failed": 1}
    assert queue == [late, later, calm, review, failed]


@pytest.mark.requirement("R14")
def test_a_failed_request_stays_in_the_queue_until_it_is_answered(made: World) -> None:
    """It is overdue as an open request is, its alarm rings, and cancelling it ends both."""
    failed = made.request("user:usr_failed", received_at="2026-01-01")
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="failed"))
    with reading(made.engine) as connection:
        assert request_log.counts(connection, Scope())["overdue"] == 1
        assert [row["id"] for row in exports.recent(connection, is_unanswered=True)] == [failed]
    assert made.view(failed)["alarm"] == "missed"
    with writing(made.engine) as connection:
        assert exports.cancel(connection, failed, actor="officer:o") == "cancelled"
    with reading(made.engine) as connection:
        assert request_log.counts(connection, Scope())["overdue"] == 0
        assert exports.recent(connection, is_unanswered=True) == []
    assert made.view(failed)["alarm"] == "none"


@pytest.mark.requirement("R14")
@pytest.mark.parametrize(
    "answered",
    [{"state": "running", "revision": 2}, {"state": "closing", "revision": 3}, {"error_code": "address_of_account"}],
    ids=str,
)
def test_an_answered_request_is_not_late_again(made: World, answered: Mapping[str, Any]) -> None:
    """Its archive was ready, or its person was informed to log in: no list, figure, alarm, pause or extension follows.

    While the next revision is made, the person waits for a remainder, so nothing is erased.
    """
    export_id = made.request("user:usr_1", received_at="2026-01-01")
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values({"state": "failed", "due_at": now(-60), **answered}))
    with reading(made.engine) as connection:
        counts = request_log.counts(connection, Scope())
        assert exports.recent(connection, is_unanswered=True) == []
        row = exports.get(connection, export_id)
        held = erasure_holds.subjects(connection)
    assert (counts["open"], counts["overdue"]) == (0, 0)
    assert exports.is_unanswered(row) is False
    assert made.view(export_id)["alarm"] == "none"
    assert [one.reasons for one in held] == ([("request",)] if "revision" in answered else [])
    with writing(made.engine) as connection, pytest.raises(WrongState, match="its deadline is final"):
        deadline_events.pause(connection, export_id, reason="identity", actor="officer:o")


@pytest.mark.parametrize("begin", [" =", "\u200b@", "\uff1d", "\t+"])
def test_a_formula_behind_what_spreadsheets_skip_is_defused(made: World, begin: str) -> None:
    """Blanks, characters without width and full-width signs do not hide it."""
    made.request(reason=f"{begin}cmd|' /C calc'!A0")
    with reading(made.engine) as connection:
        text = request_log.table(request_log.page(connection, Scope())[0])
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["reason"] == f"'{begin}cmd|' /C calc'!A0"


def test_no_cell_is_a_formula_and_no_id_is_shown(made: World) -> None:
    """Reasons that begin as formulas do are defused; the platform's own ids are not in the log."""
    made.request("user:usr_secret", reason='=HYPERLINK("x")\r\n"quoted", too')
    with reading(made.engine) as connection:
        rows, _ = request_log.page(connection, Scope())
        text = request_log.table(rows)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["reason"] == '\'=HYPERLINK("x")\r\n"quoted", too'
    assert row["requested_by"] == "operator"
    assert "usr_secret" not in text
    assert text.splitlines()[0] == ",".join(request_log.COLUMNS)
