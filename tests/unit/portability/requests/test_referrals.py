"""Referrals: how close a tenant's answer is to its due date."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from factories import World

from portability.database.engine import writing
from portability.law.deadlines import Alarm
from portability.requests import exports, referrals

BEGAN, DUE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "due_at", "day", "alarm"),
    [
        ("open", DUE, 10, Alarm.NONE),
        ("open", DUE, 17, Alarm.HALF),
        ("open", DUE, 26, Alarm.MOST),
        ("open", DUE, 31, Alarm.MISSED),
        ("open", None, 31, Alarm.NONE),
        ("refused", DUE, 31, Alarm.NONE),
        ("instructed", DUE, 26, Alarm.NONE),
    ],
)
def test_an_open_referral_raises_the_alarm(state: str, due_at: datetime | None, day: int, alarm: Alarm) -> None:
    """A tenant that was informed has 30 days here; one that has answered, or was not informed, misses nothing."""
    row: dict[str, Any] = {"state": state, "created_at": BEGAN, "due_at": due_at}
    assert referrals.alarm(row, datetime(2026, 1, day, 1, tzinfo=UTC)) == alarm


def test_an_answer_is_shown_once(made: World) -> None:
    """An open referral has not been answered; an answer waits until a revision of the archive shows it."""
    export_id = made.request()
    with writing(made.engine) as connection:
        referrals.note(connection, made.place.settings, exports.get(connection, export_id), {"a": ["x"], "b": ["y"]})
        first, _second = referrals.of(connection, export_id)
        assert referrals.answered(connection, export_id) == []
        referrals.refuse(connection, first["id"], reason="law", actor="tenant_admin:ada")
        answers = referrals.answered(connection, export_id)
        assert [(row["tenant"], row["reason"]) for row in answers] == [("a", "law")]
        referrals.apply(connection, answers)
        assert referrals.answered(connection, export_id) == []
