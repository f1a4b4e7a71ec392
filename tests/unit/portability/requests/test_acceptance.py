from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from portability.api.errors import BadInput, PortabilityError
from portability.errors import BadDate, BadSubject, UnknownExporter, UnknownFormat, UnknownProfile
from portability.law.deadlines import BusinessCalendar
from portability.law.profiles import Profile
from portability.requests.acceptance import check
from portability.requests.dates import days_between, end_of_day, start_of_day


def asked(**changes: Any) -> dict[str, Any]:
    return {"profile": "access", "subject": "user:usr_1"} | changes


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"profile": "everything"}, UnknownProfile),
        ({"profile": "switch"}, BadSubject),
        ({"subject": "tenant:ten_1"}, BadSubject),
        ({"subject": "person:1"}, BadSubject),
        ({"subject": "user:"}, BadSubject),
        ({"subject": "user:a b"}, BadSubject),
        ({"subject": "user:" + "a" * 201}, BadSubject),
        ({"subject": "user:usr_1", "tenant": "ten_1"}, BadSubject),
        ({"subject": "contact:con_1"}, BadSubject),
        ({"subject": "contact:con_1", "tenant": "a/b"}, BadSubject),
        ({"profile": "switch", "subject": "tenant:ten_1", "tenant": "ten_2"}, BadSubject),
        ({"include": ["account", "nothing"]}, UnknownExporter),
        ({"include": []}, BadInput),
        ({"formats": ["jsonl", "docx"]}, UnknownFormat),
        ({"formats": []}, BadInput),
        ({"since": "yesterday"}, BadDate),
        ({"since": "2026-02-30"}, BadDate),
        ({"until": "2026-11-24T08:00:00"}, BadDate),
        ({"since": "0001-01-01T00:00:00+14:00"}, BadDate),
        ({"since": "2026-11-24", "until": "2026-11-24"}, BadDate),
        ({"since": "2026-11-24", "until": "2026-11-23"}, BadDate),
        ({"received_at": "2999-01-01"}, BadDate),
        ({"received_at": "0001-01-01"}, BadDate),
        ({"received_at": "0202-11-30"}, BadDate),
        ({"received_at": "soon"}, BadDate),
        ({"channel": "a" * 33}, BadInput),
        ({"channel": "by mail"}, BadInput),
    ],
)
def test_what_cannot_be_is_refused_with_its_own_error(changes: dict[str, Any], error: type[PortabilityError]) -> None:
    """A request is checked whole before anything is written; each fault has its code and a hint."""
    with pytest.raises(error) as raised:
        check(**asked(**changes))
    assert type(raised.value) is error
    assert raised.value.hint or error is BadDate


@pytest.mark.parametrize("subject", ["user:jane.doe@example.org", "contact:+62 812 3456", "jane:doe"])
def test_a_refused_subject_is_not_repeated(subject: str) -> None:
    """A name or a telephone number that was typed instead of an id is not in any log."""
    with pytest.raises(BadSubject) as raised:
        check(**asked(subject=subject))
    assert subject.split(":")[1] not in f"{raised.value} {raised.value.hint}"


def test_a_date_is_its_midnight_in_the_place_and_a_time_keeps_its_moment() -> None:
    """Dates and times of any zone become aware UTC."""
    wanted = check(**asked(since="2026-11-24", until="2026-11-24T10:00:00+07:00"))
    assert wanted.since == datetime(2026, 11, 24, tzinfo=UTC)
    assert wanted.until == datetime(2026, 11, 24, 10, tzinfo=timezone(timedelta(hours=7)))
    assert wanted.until is not None
    assert wanted.until.tzinfo is UTC


def test_a_period_has_the_days_of_the_place() -> None:
    """What was recorded on the morning of the first day in Jakarta is asked for, and on the day of the end is not."""
    wanted = check(**asked(since="2026-11-24", until="2026-11-26"), place=BusinessCalendar(ZoneInfo("Asia/Jakarta")))
    assert wanted.since == datetime(2026, 11, 23, 17, tzinfo=UTC)
    assert wanted.until == datetime(2026, 11, 25, 17, tzinfo=UTC)


def test_the_time_of_receipt_is_now_unless_it_was_earlier() -> None:
    """A letter that lay for two days counts from the day it came in."""
    before = datetime.now(UTC)
    assert before <= check(**asked()).received_at <= datetime.now(UTC)
    assert check(**asked(received_at="2026-01-02")).received_at == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "received_at", "due_at"),
    [
        ("America/New_York", datetime(2026, 1, 20, 5, tzinfo=UTC), datetime(2026, 2, 21, 5, tzinfo=UTC)),
        ("Asia/Jakarta", datetime(2026, 1, 19, 17, tzinfo=UTC), datetime(2026, 2, 20, 17, tzinfo=UTC)),
    ],
)
def test_a_day_of_receipt_is_a_day_of_the_place(zone: str, received_at: datetime, due_at: datetime) -> None:
    """A letter of 20 January is due at the end of 20 February there, under the GDPR: a Friday, and no day earlier."""
    place = BusinessCalendar(ZoneInfo(zone))
    made = check(**asked(received_at="2026-01-20"), place=place, regimes=["gdpr"])
    assert (made.received_at, made.due_at) == (received_at, due_at)


def test_today_has_begun_where_the_day_is_that_of_the_place() -> None:
    """East of Greenwich a day begins hours before that of UTC: a letter of that day is not of the future."""
    for hours in (14, -12):
        place = BusinessCalendar(timezone(timedelta(hours=hours)))
        today = datetime.now(place.zone).date()
        received_at = check(**asked(received_at=today.isoformat()), place=place).received_at
        assert received_at.astimezone(place.zone).date() == today
        with pytest.raises(BadDate, match="in the future"):
            check(**asked(received_at=(today + timedelta(days=1)).isoformat()), place=place)


@pytest.mark.parametrize(
    ("read", "text", "hours"),
    [
        (end_of_day, "9999-12-31", 0),
        (start_of_day, "0001-01-01", 7),
        (end_of_day, "0001-01-01T00:00:00Z", 0),
        (start_of_day, "0001-01-01T00:00:00Z", -5),
        (end_of_day, "9999-12-31T23:59:59Z", 7),
    ],
)
def test_a_day_beyond_the_calendar_is_refused(read: Callable[..., datetime], text: str, hours: int) -> None:
    """A day or time near the ends of the calendar is wrong input, with the years that there are.

    In another zone, or a moment before it, such a time is in no year: pages could not show the request.
    """
    place = BusinessCalendar(timezone(timedelta(hours=hours)))
    with pytest.raises(BadDate, match=r"^until is too near the ends of the calendar") as refused:
        read(text, "until", place)
    assert "2 to 9998" in (refused.value.hint or "")


def test_the_first_and_the_last_day_can_be_shown_in_every_zone() -> None:
    """What is accepted has its first and last day in the zone of any place."""
    for hours in (-12, 0, 14):
        place = BusinessCalendar(timezone(timedelta(hours=hours)))
        since, until = start_of_day("0002-01-01", "since", place), end_of_day("9998-12-31", "until", place)
        first, last = days_between(since, until, BusinessCalendar(timezone(timedelta(hours=-hours))))
        assert first
        assert last
        assert days_between(until, since, place)


def test_names_are_kept_once_and_formats_in_the_order_given() -> None:
    """The first format measures pieces, so its place counts; exporters have an order of their own."""
    wanted = check(**asked(include=["usage", "account", "usage"], formats=["csv", "jsonl", "csv"]))
    assert wanted.include == ("account", "usage")
    assert wanted.formats == ("csv", "jsonl")


def test_a_tenant_is_its_own_wall() -> None:
    """`tenant:ID` needs no --tenant and accepts the same tenant."""
    for tenant in (None, "ten_1"):
        wanted = check(profile="switch", subject="tenant:ten_1", tenant=tenant)
        assert (wanted.profile, wanted.tenant) == (Profile.SWITCH, "ten_1")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-11-24", datetime(2026, 11, 24, 17, tzinfo=UTC)),
        ("2026-11-24T10:00:00+07:00", datetime(2026, 11, 24, 3, tzinfo=UTC)),
        (None, None),
    ],
)
def test_a_chosen_end_is_a_moment_or_a_whole_day_of_the_place(text: str | None, end: datetime | None) -> None:
    """A date ends at the next midnight in Jakarta, which is 17:00 in UTC; a time is that moment."""
    assert end_of_day(text, "until", BusinessCalendar(ZoneInfo("Asia/Jakarta"))) == end


def test_what_is_not_asked_for_is_not_done() -> None:
    """Companies are informed only if the person agrees; an archive may have gaps; it has all data, with a workbook."""
    wanted = check(**asked())
    assert (wanted.tell_tenants, wanted.require_complete, wanted.include) == (False, False, None)
    assert (wanted.formats, wanted.channel) == (("jsonl", "csv", "vcon", "xlsx", "webvtt"), "cli")
    assert (wanted.since, wanted.until, wanted.residence, wanted.reason) == (None, None, None, None)
    assert check(**asked(tell_tenants=True, require_complete=True)).tell_tenants
