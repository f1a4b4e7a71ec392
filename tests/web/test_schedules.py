"""`/me`: a person schedules copies, sees their dates, and stops them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from served import OTHER, OWNER, TENANT, Browser, Served
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading
from portability.law.deadlines import months_later

OFFERED = 'name="every" value="two_months"'


def scheduled(visitor: Browser, status: int = 303, **fields: object) -> str:
    """Ask for scheduled copies; returns where the answer leads."""
    asked = {"profile": "access", "every": "two_months", **fields}
    answer = visitor.send("/me/exports", page="/me", **asked)
    assert answer.status_code == status, answer.text
    return str(answer.headers.get("location", ""))


def end_reasons(served: Served, person: str) -> list[str | None]:
    table = models.schedule
    query = select(table.c.end_reason).where(table.c.subject_id == person).order_by(table.c.created_at)
    with reading(served.world.engine) as connection:
        return list(connection.scalars(query))


def test_a_person_schedules_copies_and_stops_them(served: Served) -> None:
    """The first copy is requested now; the page has the dates of the next and the last copy, and one button."""
    with served.browser(OWNER) as visitor:
        assert OFFERED in visitor.client.get("/me").text
        assert re.fullmatch("/me/exports/[a-z2-7]{24}", scheduled(visitor))
        page = visitor.client.get("/me").text
        assert OFFERED not in page
        part = page.partition('id="schedule"')[2].partition("</ul>")[0]
        today = datetime.now(UTC).date()
        dates = [datetime.fromisoformat(each).date() for each in re.findall('datetime="([^"]+)"', part)]
        assert dates == [months_later(today, 2), months_later(today, 10)]
        assert visitor.send("/me/schedule/stop", page="/me").headers["location"] == "/me"
        assert OFFERED in visitor.client.get("/me").text
    assert end_reasons(served, OWNER) == ["stopped"]


def test_once_is_the_default(served: Served) -> None:
    """Also for a form that an earlier release has shown."""
    with served.browser("usr_once") as visitor:
        for every in ({}, {"every": ""}):
            assert visitor.send("/me/exports", page="/me", profile="access", **every).status_code == 303
        assert 'id="schedule"' not in visitor.client.get("/me").text
    assert end_reasons(served, "usr_once") == []


def test_what_cannot_be_scheduled_is_refused(served: Served) -> None:
    """A second schedule, a period, an unknown interval, a company's data; nothing is requested."""
    with served.browser("usr_refused") as visitor:
        scheduled(visitor, 400, since="2026-01-01")
        scheduled(visitor, 422, every="day")
        assert '<ul class="rows">' not in visitor.client.get("/me").text
        scheduled(visitor)
        scheduled(visitor, 409)
        assert '<ul class="rows">' in visitor.client.get("/me").text
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        scheduled(visitor, 400, profile="switch")
    assert end_reasons(served, "adm") == []


def test_a_stop_is_for_ones_own_schedule(served: Served) -> None:
    """Of another person nothing is stopped; a form of another site stops nothing."""
    with served.browser("usr_kept") as visitor:
        scheduled(visitor)
        assert visitor.client.post("/me/schedule/stop", data={"csrf": "x"}).status_code == 403
    with served.browser(OTHER) as visitor:
        assert visitor.send("/me/schedule/stop", page="/me").status_code == 303
    assert end_reasons(served, "usr_kept") == [None]


def test_a_weak_login_schedules_nothing(served: Served) -> None:
    """It is asked to confirm; the form that it had filled in waits with the choice."""
    with served.browser("usr_weak", strong=False) as visitor:
        scheduled(visitor, 401)
        assert end_reasons(served, "usr_weak") == []
        served.issuer.person = served.issuer.claims("usr_weak")
        page = visitor.client.get("/login?again=1", follow_redirects=True).text
        assert 'name="every" value="two_months"' in page
