"""Ledger lines whose tenants have answered: each line has one state and one reason."""

from __future__ import annotations

from typing import Any

from factories import World
from sqlalchemy import insert

from portability.database import models
from portability.database.engine import writing
from portability.requests import exports, ledger_lines

LEDGER = models.ledger


def waiting_line(export_id: str, ordinal: int, *tenants: str) -> dict[str, Any]:
    named = {"export_id": export_id, "ordinal": ordinal, "exporter": "made", "dataset": "things", "title": "Things"}
    counted = dict.fromkeys(("records", "files", "bytes", "gaps", "corrections", "open_slices"), 0)
    return {**named, **counted, "state": "needs_instruction", "reason": "not_ordered", "tenants": list(tenants)}


def test_a_line_of_several_tenants_is_divided_by_their_answers(made: World) -> None:
    """Of the only line two tenants get lines of their own, behind it; who has not answered stays as it was."""
    export_id = made.request()
    given: Any = [
        {"tenant": "ten_a", "state": "instructed", "reason": None, "people": ["con_1", "con_2"]},
        {"tenant": "ten_b", "state": "refused", "reason": "law", "people": ["con_3"]},
    ]
    with writing(made.engine) as connection:
        connection.execute(insert(LEDGER), [waiting_line(export_id, 0, "ten_b", "ten_c", "ten_a")])
        readings = ledger_lines.answer(connection, export_id, given)
        found = exports.ledger(connection, export_id)
    assert [(line["ordinal"], line["state"], line["reason"], line["tenants"]) for line in found] == [
        (0, "refused", "tenant_law", ["ten_b"]),
        (1, "needs_instruction", "not_ordered", ["ten_c"]),
        (2, "pending", None, ["ten_a"]),
    ]
    assert readings == [{"ordinal": 2, "instructed": [["ten_a", "con_1"], ["ten_a", "con_2"]], "gaps": []}]


def test_an_answer_changes_the_lines_of_its_tenant_only(made: World) -> None:
    """Two tenants that refuse for the same reason share a line; the lines of another export stay as they are."""
    export_id, other = made.request(), made.request("user:usr_2")
    given: Any = [{"tenant": name, "state": "refused", "reason": "identity", "people": []} for name in ("a", "b")]
    lines = [waiting_line(export_id, 0, "a", "b"), waiting_line(export_id, 1, "c"), waiting_line(other, 0, "a")]
    with writing(made.engine) as connection:
        connection.execute(insert(LEDGER), lines)
        assert ledger_lines.answer(connection, export_id, given) == []
        found = [*exports.ledger(connection, export_id), *exports.ledger(connection, other)]
    assert [(line["state"], line["tenants"]) for line in found] == [
        ("refused", ["a", "b"]), ("needs_instruction", ["c"]), ("needs_instruction", ["a"]),
    ]  # fmt: skip  # one list
