"""A company's period of notice moves the deadline of its switch, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import World
from sqlalchemy import update

from portability import metrics
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import BadDate
from portability.law.deadlines import BusinessCalendar
from portability.law.regime import ExtensionGround, Period, Regime
from portability.requests import acceptance, deadline_events, exports
from portability.requests.acceptance import Request
from portability.requests.deadline_events import Extension
from portability.requests.policy import Actor

JAKARTA = BusinessCalendar(ZoneInfo("Asia/Jakarta"))


def later(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def switch(**asked: Any) -> Request:
    return acceptance.check(profile="switch", subject="tenant:ten_1", **asked)


def text(moment: datetime) -> str:
    return moment.isoformat()


@pytest.mark.requirement("R10")
def test_the_deadline_is_that_of_the_notice(made: World) -> None:
    """From the request on, and recomputed with an extension; its alarms count from there too."""
    ends_at = later(40)
    plain = switch()
    identifier = made.request("tenant:ten_1", profile="switch", notice_ends_at=text(ends_at))
    with reading(made.engine) as connection:
        row = exports.get(connection, identifier)
    assert made.view(identifier)["notice_ends_at"] == text(ends_at).replace("+00:00", "Z")
    assert row["due_at"] - plain.due_at in {timedelta(days=39), timedelta(days=40), timedelta(days=41)}
    assert exports.alarm(row, at=ends_at + timedelta(days=14)) == "none"
    assert exports.alarm(row, at=ends_at + timedelta(days=16)) == "half"
    (alarms,) = (m for m in metrics.collect(made.engine) if m.name == "portability_exports_alarm")
    assert [sample.value for sample in alarms.samples] == [0, 0, 0]

    law: Any = {"regimes": ("gdpr", "data_act"), "place": BusinessCalendar(UTC)}
    with writing(made.engine) as connection:
        asked = Extension("terabytes", ground=ExtensionGround.TECHNICAL)
        longer = deadline_events.extend(connection, identifier, asked, actor="officer:olga", **law)
    assert timedelta(days=180) < longer - row["due_at"] < timedelta(days=186)
    with writing(made.engine) as connection:
        deadline_events.pause(connection, identifier, reason="identity", actor="officer:olga")
    with writing(made.engine) as connection:
        assert deadline_events.resume(connection, identifier, actor="officer:olga", **law) == longer


@pytest.mark.parametrize("later_days", [0, 20])
def test_a_law_without_notice_counts_from_the_receipt(made: World, later_days: int) -> None:
    """It may end with the notice or before: half of its 30 days are over after 15, whatever the notice says."""
    own = Regime("own", "A contract", frozenset({"switch"}), Period(days=30))
    begun = switch(regimes=[own])
    notice_ends_at = text(begun.due_at + timedelta(days=later_days))
    wanted = switch(regimes=[own, "data_act"], notice_ends_at=notice_ends_at)
    assert wanted.due_at == begun.due_at
    with writing(made.engine) as connection:
        identifier = acceptance.accept(connection, wanted, actor=Actor("operator", "test"))[0]
        row = exports.get(connection, identifier)
    found = [exports.alarm(row, at=row["due_at"] - timedelta(days=days)) for days in (29, 16, 14, 5, 0)]
    assert found == ["none", "none", "half", "most", "missed"]
    with writing(made.engine) as connection:
        older: Any = {"received_at": later(-20), "due_at": later(10)}
        older["notice_ends_at"] = older["due_at"] + timedelta(days=later_days)
        connection.execute(update(models.export).values(**older))
    (alarms,) = (m for m in metrics.collect(made.engine) if m.name == "portability_exports_alarm")
    assert [sample.value for sample in alarms.samples] == [1, 0, 0]


def test_a_day_is_one_of_the_place(made: World) -> None:
    """A bare date is that day where deadlines are counted, not the day of Greenwich."""
    day = later(20).date()
    asked = switch(notice_ends_at=day.isoformat(), place=JAKARTA)
    assert asked.notice_ends_at == datetime(day.year, day.month, day.day, tzinfo=JAKARTA.zone)
    assert asked.due_at.astimezone(JAKARTA.zone).date() == day + timedelta(days=31)
    first = made.request("tenant:ten_1", profile="switch", notice_ends_at=day.isoformat())
    assert made.request("tenant:ten_1", profile="switch", notice_ends_at=day.isoformat()) == first
    assert made.request("tenant:ten_1", profile="switch") != first


@pytest.mark.parametrize("profile", ["access", "portability"])
def test_only_a_switch_has_one(profile: str) -> None:
    """A person's request is due from its receipt: no law that applies to it knows a notice."""
    with pytest.raises(BadInput, match="no law"):
        acceptance.check(profile=profile, subject="user:usr_1", notice_ends_at=text(later(3)))


@pytest.mark.parametrize(("days", "rule"), [(63, "longer than the law allows"), (-1, "before the request")])
def test_a_notice_that_breaks_the_rule_is_refused(days: int, rule: str) -> None:
    """More than two months, an end before its beginning."""
    ends_at = text(later(days))
    with pytest.raises(BadDate, match=rule):
        switch(notice_ends_at=ends_at)


def test_a_notice_needs_a_date() -> None:
    """A word says no day."""
    with pytest.raises(BadDate, match="no"):
        switch(notice_ends_at="soon")
