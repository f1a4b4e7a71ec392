from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repository import ROOT, table

from portability.api.errors import BadInput
from portability.errors import BadDate, UnknownRegime, WrongState
from portability.law.deadlines import (
    UTC_CALENDAR,
    Alarm,
    BusinessCalendar,
    DeadlineClock,
    Pause,
    alarm,
    check_notice,
    due,
    earliest,
)
from portability.law.extensions import extended
from portability.law.regime import PauseReason, Period
from portability.law.regime_tables import parse
from portability.law.regimes import applying, named

ALL = tuple(parse((ROOT / "portability" / "law" / "regimes.toml").read_text()))
JAKARTA = BusinessCalendar(ZoneInfo("Asia/Jakarta"))
BRUSSELS = BusinessCalendar(ZoneInfo("Europe/Brussels"), frozenset({date(2026, 5, 1), date(2026, 12, 25)}))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.requirement("R10")
@pytest.mark.parametrize(
    ("regime", "received", "expected"),
    [
        ("gdpr", "2026-03-10 12:00", "2026-04-11"),  # the whole of the same-numbered day
        ("gdpr", "2026-01-31 12:00", "2026-03-03"),  # no 31 February: the 28th, a Saturday, so Monday's end
        ("gdpr", "2028-01-31 12:00", "2028-03-01"),  # 29 February, a Tuesday
        ("gdpr", "2028-02-29 12:00", "2028-03-30"),  # to 29 March
        ("gdpr", "2026-08-31 12:00", "2026-10-01"),  # to 30 September
        ("gdpr", "2026-12-31 12:00", "2027-02-02"),  # 31 January 2027 is a Sunday
        ("gdpr", "2026-05-15 12:00", "2026-06-16"),  # Monday
        ("gdpr", "2026-05-13 12:00", "2026-06-16"),  # 13 June is a Saturday
        ("ccpa", "2026-01-01 00:00", "2026-02-16"),  # 45 days, a Sunday or not
        ("hipaa", "2026-01-31 23:59", "2026-03-03"),
        ("uu_pdp", "2026-02-28 17:30", "2026-03-03 17:30"),  # 72 hours to the minute
        ("data_act", "2026-01-12 08:00", "2026-02-12"),
    ],
)
def test_when_a_regime_ends(regime: str, received: str, expected: str) -> None:
    """As its article counts: by month, day or hour, and on a working day where it says so."""
    assert due(named(regime), DeadlineClock(utc(received))) == utc(expected)


@pytest.mark.requirement("R10")
@pytest.mark.parametrize(
    ("place", "received", "expected"),
    [
        (JAKARTA, "2026-03-10 16:59", "2026-04-10 17:00"),  # still the 10th at UTC+7
        (JAKARTA, "2026-03-10 17:00", "2026-04-13 17:00"),  # the 11th; 11 April is a Saturday
        (
            BRUSSELS,
            "2026-04-01 10:00",
            "2026-05-04 22:00",
        ),  # 1 May is a holiday and a Friday: Monday's end, in summer time
        (BRUSSELS, "2026-11-25 10:00", "2026-12-28 23:00"),  # Christmas on a Friday, in winter time
    ],
)
def test_days_are_those_of_a_place(place: BusinessCalendar, received: str, expected: str) -> None:
    """Its midnight, its summer time, its holidays."""
    assert due(named("gdpr"), DeadlineClock(utc(received)), place) == utc(expected)


@pytest.mark.requirement("R10")
def test_the_earliest_counts() -> None:
    """Under many laws the strictest counts; for a switch only laws that have rules for a switch."""
    clock = DeadlineClock(utc("2026-03-10 12:00"))
    assert earliest(applying(ALL, "access"), clock) == utc("2026-03-13 12:00")
    assert earliest(applying(("gdpr", "ccpa"), "access"), clock) == utc("2026-04-11")
    assert earliest(applying(ALL, "switch"), clock) == utc("2026-04-10")
    with pytest.raises(BadInput):
        earliest(applying(["hipaa"], "portability"), clock)


@pytest.mark.requirement("R12")
def test_one_reasoned_extension_before_the_deadline() -> None:
    """Two more months under the GDPR; not twice, not late, not without a reason, not without a rule."""
    clock, gdpr = DeadlineClock(utc("2026-01-31 12:00")), [named("gdpr")]
    longer = extended(clock, gdpr, at=utc("2026-03-02 23:59"), reason="audio of three years")
    assert due(gdpr[0], longer) == utc("2026-05-01")  # to 30 April
    with pytest.raises(WrongState, match="already"):
        extended(longer, gdpr, at=utc("2026-03-02"), reason="more")
    with pytest.raises(WrongState, match="passed"):
        extended(clock, gdpr, at=utc("2026-03-03"), reason="late")
    with pytest.raises(BadInput):
        extended(clock, gdpr, at=utc("2026-02-01"), reason=" ")
    with pytest.raises(WrongState, match="uu_pdp"):
        extended(clock, [*gdpr, named("uu_pdp")], at=utc("2026-02-01"), reason="more")


@pytest.mark.requirement("R12")
@pytest.mark.parametrize(
    ("regime", "place", "received", "expected"),
    [
        ("gdpr", UTC_CALENDAR, "2026-01-31 12:00", "2026-05-01"),  # to 30 April; the first month ended on a Saturday
        ("gdpr", UTC_CALENDAR, "2026-03-31 12:00", "2026-07-01"),  # to 30 June
        ("gdpr", UTC_CALENDAR, "2027-11-30 12:00", "2028-03-01"),  # to 29 February
        ("gdpr", UTC_CALENDAR, "2026-02-09 12:00", "2026-05-12"),  # 9 May is a Saturday: to Monday
        ("gdpr", BRUSSELS, "2026-02-01 10:00", "2026-05-04 22:00"),  # 1 May is a holiday and a Friday: to Monday
        ("uk_gdpr", UTC_CALENDAR, "2026-01-31 12:00", "2026-05-01"),
        ("ccpa", UTC_CALENDAR, "2026-01-01 00:00", "2026-04-02"),  # 90 days: to 1 April
        ("hipaa", UTC_CALENDAR, "2026-01-31 12:00", "2026-04-02"),  # 60 days: to 1 April
        ("fadp", UTC_CALENDAR, "2026-01-31 12:00", "2026-04-02"),
        ("data_act", UTC_CALENDAR, "2026-01-12 08:00", "2026-08-13"),
        ("data_act", UTC_CALENDAR, "2026-01-31 08:00", "2026-09-01"),  # seven months at the most: to 31 August
    ],
)
def test_an_extended_period_is_one_period_from_receipt(
    regime: str, place: BusinessCalendar, received: str, expected: str
) -> None:
    """Only the end of the whole period moves to a working day; the first deadline has no part in it."""
    assert due(named(regime), DeadlineClock(utc(received), extended=True), place) == utc(expected)


@pytest.mark.requirement("R12")
@pytest.mark.requirement("R13")
@pytest.mark.parametrize(
    ("regime", "received", "resumed", "expected"),
    [
        ("gdpr", "2026-01-31 12:00", "2026-02-15 09:00", "2026-05-06"),  # 30 April and 5 days: to Tuesday, 5 May
        ("gdpr", "2026-01-31 12:00", "2026-02-12 21:00", "2026-05-05"),  # 2.5 days: 3 May is a Sunday, so to Monday
        ("gdpr", "2026-02-09 12:00", "2026-02-15 09:00", "2026-05-15"),  # Saturday, 9 May, and 5 days: to Thursday
        ("ccpa", "2026-01-01 00:00", "2026-02-15 09:00", "2026-04-02"),  # does not pause
    ],
)
def test_a_pause_is_added_to_the_end_of_an_extended_period(
    regime: str, received: str, resumed: str, expected: str
) -> None:
    """As it is to the end of a first period, and only then the end moves to a working day."""
    pauses = [Pause(PauseReason.IDENTITY, utc("2026-02-10 09:00"), utc(resumed))]

    assert due(named(regime), DeadlineClock(utc(received), pauses, extended=True)) == utc(expected)


@pytest.mark.requirement("R10")
@pytest.mark.parametrize(
    ("regime", "expected"),
    [
        ("uk_gdpr", "2026-03-03"),  # 28 February is a Saturday: to Monday, 2 March
        ("fadp", "2026-03-03"),  # 30 days: to 2 March
        ("lgpd", "2026-02-16"),  # 15 days: to 15 February, a Sunday or not
        ("dpdp", "2026-03-03"),
        ("pipl", "2026-02-16"),
        ("appi", "2026-02-15"),
        ("quebec_law_25", "2026-03-03"),
    ],
)
def test_when_a_request_of_31_january_is_due_in_other_countries(regime: str, expected: str) -> None:
    """Each law's period begins at receipt; a law without a figure has the period of a policy."""
    assert due(named(regime), DeadlineClock(utc("2026-01-31 12:00"))) == utc(expected)


@pytest.mark.parametrize("name", ALL)
def test_a_regime_names_its_official_text(name: str) -> None:
    """A reader can check the article at the address in `source`."""
    assert re.fullmatch(r"https?://[\w.-]+\.[a-z]+/\S*", named(name).source)


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(
    ("regime", "reason", "days"),
    [("gdpr", PauseReason.IDENTITY, 5), ("gdpr", PauseReason.CLARIFICATION, 5), ("ccpa", PauseReason.IDENTITY, 0)],
)
def test_doubt_pauses_only_where_the_law_lets_it(regime: str, reason: PauseReason, days: int) -> None:
    """The GDPR's clock stands still; the CCPA's runs on, "regardless of time required to verify"."""
    received = utc("2026-03-02 12:00")
    plain = due(named(regime), DeadlineClock(received))
    pause = Pause(reason, utc("2026-03-04 09:00"), utc("2026-03-09 09:00"))
    assert (due(named(regime), DeadlineClock(received, [pause])) - plain).days in range(days, days + 3)
    assert (due(named(regime), DeadlineClock(received, [pause])) > plain) is bool(days)


def test_a_pause_that_lasts_counts_until_now_and_two_at_once_count_once() -> None:
    """Two doubts at the same time do not give more time."""
    received, at = utc("2026-03-02 12:00"), utc("2026-03-09 09:00")
    began = utc("2026-03-04 09:00")
    open_pause, closed = Pause(PauseReason.IDENTITY, began), Pause(PauseReason.IDENTITY, began, at)
    other = Pause(PauseReason.CLARIFICATION, began + timedelta(days=1), at)
    one = due(named("gdpr"), DeadlineClock(received, [closed]))
    assert due(named("gdpr"), DeadlineClock(received, [open_pause]), at=at) == one
    assert due(named("gdpr"), DeadlineClock(received, [other, closed])) == one


@pytest.mark.requirement("R14")
@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0, Alarm.NONE), (35.9, Alarm.NONE), (36, Alarm.HALF), (57.5, Alarm.HALF), (57.6, Alarm.MOST), (72, Alarm.MISSED)],
)
def test_alarms(hours: float, expected: Alarm) -> None:
    """At half of the time, at four fifths, and when it is over."""
    received = utc("2026-03-10 12:00")
    at = received + timedelta(hours=hours)
    assert alarm(received, due(named("uu_pdp"), DeadlineClock(received)), at) is expected


@given(st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)), st.sampled_from(ALL))  # noqa: DTZ001  # hypothesis takes bounds without a zone
def test_a_deadline_is_after_receipt_and_never_moves_back(received: datetime, name: str) -> None:
    """A request that came later is never due earlier; an extension only ever gives time."""
    regime = named(name)
    for place in (BusinessCalendar(ZoneInfo("UTC")), JAKARTA, BRUSSELS):
        first = due(regime, DeadlineClock(received), place)
        assert first > received
        assert due(regime, DeadlineClock(received + timedelta(hours=13)), place) >= first
        assert due(regime, DeadlineClock(received, extended=True), place) >= first


@pytest.mark.parametrize(
    ("received", "notice_ends", "expected"),
    [
        ("2026-01-12 08:00", "2026-03-12 08:00", "2026-04-12"),  # 30 days after 12 March
        ("2026-01-12 08:00", "2026-01-31 12:00", "2026-03-03"),
        ("2028-01-12 08:00", "2028-01-31 12:00", "2028-03-02"),  # over 29 February
        ("2026-01-12 08:00", "2026-01-12 08:00", "2026-02-12"),  # none: as from receipt
    ],
)
@pytest.mark.requirement("R10")
def test_the_data_act_s_clock_begins_with_the_end_of_the_notice(received: str, notice_ends: str, expected: str) -> None:
    """Art. 25(2)(a): 30 days from there. No other law waits for it; an extended period begins there too."""
    plain, clock = DeadlineClock(utc(received)), DeadlineClock(utc(received), notice_ends_at=utc(notice_ends))
    assert due(named("data_act"), clock) == utc(expected)
    assert due(named("data_act"), replace(clock, extended=True)) > due(named("data_act"), clock)
    assert all(due(named(name), clock) == due(named(name), plain) for name in ALL if name != "data_act")


@pytest.mark.parametrize(
    ("received", "last"),
    [
        ("2026-01-12 08:00", "2026-03-12"),
        ("2025-12-31 08:00", "2026-02-28"),
        ("2027-12-31 08:00", "2028-02-29"),
        ("2026-01-11 17:00", "2026-03-12"),  # the 12th at UTC+7
    ],
)
def test_a_notice_is_two_months_at_the_most(received: str, last: str) -> None:
    """Art. 25(2)(d): to the same-numbered day, of the place whose days count; refused beyond, and before receipt."""
    data_act, begin = [named("data_act")], utc(received)
    end = datetime.fromisoformat(last).replace(tzinfo=JAKARTA.zone)
    check_notice(data_act, begin, end + timedelta(hours=23), JAKARTA)
    with pytest.raises(BadDate, match="longer"):
        check_notice(data_act, begin, end + timedelta(days=1), JAKARTA)
    with pytest.raises(BadDate, match="before"):
        check_notice(data_act, begin, begin - timedelta(microseconds=1), JAKARTA)
    with pytest.raises(BadInput, match="no law"):
        check_notice([named("gdpr"), named("uu_pdp")], begin, end, JAKARTA)


def test_an_unknown_regime_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(UnknownRegime) as raised:
        named("atlantis")
    assert "gdpr" in (raised.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "[x]\ntitle = 'x'\nprofiles = []\n",
        "[x]\ntitle = 'x'\nprofiles = []\nperiod = { weeks = 1 }\n",
        "[x]\ntitle = 'x'\nprofiles = []\nperiod = { days = 1, hours = 1 }\n",
        "[x]\ntitle = 'x'\nprofiles = []\nperiod = { days = 0 }\n",
        "[x]\ntitle = 'x'\nprofiles = []\nperiod = { days = 1 }\npauses = ['holiday']\n",
        "[x]\ntitle = 'x'\nprofiles = []\nperiod = { days = 1 }\nsurprise = 1\n",
        "[x]\ntitle = 'x'\nprofiles = []\nperiod = { days = 30 }\nextended_period = { months = 1 }\n",
        "[x]\ntitle = 'x'\nprofiles = ['access']\nperiod = { days = 1 }\nno_figure_for = ['portability']\n",
        "[x]\ntitle = 'x'\nprofiles = ['access']\nperiod = { days = 1 }\nno_figure_for = ['extension']\n",
        "not toml",
    ],
)
def test_a_regime_with_a_hole_is_refused(text: str) -> None:
    """Rather than counted by a guess."""
    with pytest.raises(BadInput):
        parse(text)


def test_a_period_has_one_unit() -> None:
    """One month and a day has no defined end."""
    with pytest.raises(BadInput):
        Period(months=1, days=1)


def test_the_page_has_the_regimes() -> None:
    """docs/deadlines.md tells of each law what the data say."""
    rows = {row["regime"]: row for row in table(ROOT / "docs" / "deadlines.md", "regime")}
    assert set(rows) == set(ALL)
    for name, row in rows.items():
        regime = named(name)
        assert set(row["profiles"].split(", ")) == regime.profiles
        assert row["record kept"] == f"{regime.log_months} months"
        assert ("notice" in row["begins with"]) is (regime.notice is not None)
        assert set(filter(None, row["may pause for"].split(", "))) == set(map(str, regime.pauses))
        assert set(filter(None, row["no figure for"].split(", "))) == regime.no_figure_for
        for documented, period in ((row["period"], regime.period), (row["with extension"], regime.extended_period)):
            amount = {} if period is None else {"month": period.months, "day": period.days, "hour": period.hours}
            wanted = [f"{n} {unit}{'s' if n > 1 else ''}" for unit, n in amount.items() if n]
            assert [documented] == (wanted or [""])
