"""A request that is made twice is one export: the earlier receipt sets its due date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import World

from portability.database.engine import reading, writing
from portability.law.deadlines import DeadlineClock, due
from portability.law.regimes import named
from portability.requests import acceptance, deadline_events, exports, intake
from portability.requests.deadline_events import Extension
from portability.requests.login_strength import Auth
from portability.requests.policy import Actor
from portability.settings import Settings

OPERATOR = Actor("operator", "test")


def under_gdpr(made: World) -> Settings:
    return made.place.settings.model_copy(update={"regimes": "gdpr,data_act"})


def take(made: World, received_at: datetime) -> tuple[str, bool]:
    settings = under_gdpr(made)
    asked: dict[str, Any] = {"profile": "access", "subject": "user:usr_1", "received_at": received_at.isoformat()}
    asked["reason"] = "letter 7"
    wanted = acceptance.check(**asked, regimes=settings.laws, place=settings.place)
    with writing(made.engine) as connection:
        return intake.take(connection, settings, wanted, actor=OPERATOR, auth=Auth(strong=True, fresh=True))


@pytest.mark.requirement("R10")
@pytest.mark.parametrize("is_extended", [False, True])
def test_a_letter_that_came_before_the_same_request_sets_its_due_date(made: World, is_extended: bool) -> None:
    """Staff enter it later, with the day on which it came; a request that came later changes nothing."""
    present = datetime.now(UTC)
    export_id, _is_new = take(made, present - timedelta(days=3))
    if is_extended:
        with writing(made.engine) as connection:
            settings = under_gdpr(made)
            asked = Extension("large")
            laws: dict[str, Any] = {"regimes": settings.laws, "place": settings.place}
            deadline_events.extend(connection, export_id, asked, actor="officer:o", **laws)
    letter = present - timedelta(days=9)
    for received_at in (letter, present - timedelta(days=1)):
        assert take(made, received_at) == (export_id, False)
        with reading(made.engine) as connection:
            row = exports.get(connection, export_id)
        expected = due(named("gdpr"), DeadlineClock(row["received_at"], extended=is_extended))
        assert abs(row["received_at"] - letter) < timedelta(seconds=1)
        assert row["due_at"] == expected
