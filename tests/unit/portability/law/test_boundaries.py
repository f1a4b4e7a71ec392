"""Figures and boundaries of the law, written out: a change of one of them by one is a change of a promise."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from repository import ROOT

from portability.api.errors import BadInput
from portability.law import notice
from portability.law.deadlines import (
    EXPIRY_NOTICE,
    BusinessCalendar,
    DeadlineClock,
    Pause,
    check_notice,
    deadline,
    due,
    kept_until,
)
from portability.law.notice import NoticeHole, Text
from portability.law.notice.entries import RetentionPeriod
from portability.law.regime import PauseReason, Period, Regime, SubjectFacts
from portability.law.regime_tables import parse
from portability.law.regimes import log_months, named

MOMENT = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.requirement("R41")
def test_the_end_of_an_archive_is_announced_two_days_before() -> None:
    """48 hours, as the message `expiring` and docs/mail.md say."""
    assert kept_until(utc("2026-03-01"), EXPIRY_NOTICE.total_seconds()) == utc("2026-03-03")


@pytest.mark.requirement("R41")
@pytest.mark.parametrize(
    ("retrieval", "expected"), [(None, "2026-03-08"), ("2026-03-07", "2026-03-08"), ("2026-03-09", "2026-03-09")]
)
def test_an_archive_is_kept_for_its_time_or_as_the_law_says(retrieval: str | None, expected: str) -> None:
    """The later of both ends."""
    ends_at = utc(retrieval) if retrieval else None
    assert kept_until(utc("2026-03-01"), 604_800, ends_at) == utc(expected)


@pytest.mark.requirement("R13")
def test_the_shortest_pause_moves_a_deadline_to_the_end_of_the_next_day() -> None:
    """A deadline of days ends with a day: a deadline a microsecond after midnight ends with that day."""
    received, began = utc("2026-03-02 12:00"), utc("2026-03-04 09:00")
    pause = Pause(PauseReason.IDENTITY, began, began + MOMENT)
    assert due(named("gdpr"), DeadlineClock(received)) == utc("2026-04-03")
    assert due(named("gdpr"), DeadlineClock(received, [pause])) == utc("2026-04-04")


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(
    ("received", "paused", "expected"),
    [
        # One month ends on Saturday, 28 November: with one day more on Sunday, so with Monday, 30 November.
        ("2026-10-28 10:00", timedelta(hours=2), "2026-12-01 00:00+01:00"),
        ("2026-10-28 10:00", timedelta(days=2), "2026-12-01 00:00+01:00"),
        ("2026-10-28 10:00", timedelta(days=2, hours=1), "2026-12-02 00:00+01:00"),
        # Wednesday, 25 March, and seven days: summer time begins between them, and Thursday has no part in it.
        ("2026-02-25 10:00", timedelta(days=6, hours=23, minutes=30), "2026-04-02 00:00+02:00"),
    ],
)
def test_a_pause_moves_the_end_of_the_period_before_it_moves_to_a_working_day(
    received: str, paused: timedelta, expected: str
) -> None:
    """A period with a pause is one period, moved to a working day once, and a pause counts in days of 24 hours."""
    began = utc(received) + timedelta(days=7)
    clock = DeadlineClock(utc(received), [Pause(PauseReason.IDENTITY, began, began + paused)])
    berlin = BusinessCalendar(ZoneInfo("Europe/Berlin"))
    assert due(named("gdpr"), clock, berlin) == datetime.fromisoformat(expected)


@pytest.mark.requirement("R10")
@pytest.mark.parametrize(
    ("transition_ends", "expected"), [("2026-05-01 00:00", "2026-05-31"), ("2026-05-01 00:00:00.000001", "2026-06-01")]
)
def test_data_can_be_retrieved_for_thirty_days_after_the_transition(transition_ends: str, expected: str) -> None:
    """They begin after the last day that the transition touches (Data Act Art. 25(2)(g))."""
    clock = DeadlineClock(utc("2026-03-01 12:00"), customer_ends_at=utc(transition_ends))
    assert deadline([named("data_act")], "switch", clock).retrieval_ends_at == utc(expected)


@pytest.mark.requirement("R13")
def test_a_pause_that_lasts_does_not_hide_a_pause_that_ended() -> None:
    """Without a present moment, only the pause that ended counts: five days, to a Saturday, so to Monday's end."""
    lasting = Pause(PauseReason.IDENTITY, utc("2026-03-03 09:00"))
    ended = Pause(PauseReason.IDENTITY, utc("2026-03-04 09:00"), utc("2026-03-09 09:00"))
    assert due(named("gdpr"), DeadlineClock(utc("2026-03-02 12:00"), [lasting, ended])) == utc("2026-04-08")


def test_a_notice_period_may_end_when_the_request_is_received() -> None:
    """A company that switches at once gives no notice."""
    moment = utc("2026-03-02 12:00")
    check_notice([named("data_act")], moment, moment)


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        ("P1Y", "2025-03-15"),
        ("P2Y3M", "2023-12-15"),
        ("P1M", "2026-02-15"),
        ("P10D", "2026-03-05"),
        ("P1Y2M3D", "2025-01-12"),
    ],
)
def test_a_retention_period_counts_back_years_months_and_days(longest: str, expected: str) -> None:
    """The longest period decides; without one, the shortest."""
    period = RetentionPeriod(
        title=Text({"en": "While needed"}), begins="record_created", shortest="P1D", longest=longest
    )
    assert period.cutoff(utc("2026-03-15 08:30")) == utc(f"{expected} 08:30")
    assert period.model_copy(update={"longest": None}).cutoff(utc("2026-03-15 08:30")) == utc("2026-03-14 08:30")


@pytest.mark.parametrize(
    ("files", "named_files", "rest"), [(20, 20, ""), (21, 20, "; and 1 more"), (23, 20, "; and 3 more")]
)
def test_a_message_names_twenty_faults_of_a_register(tmp_path: Path, files: int, named_files: int, rest: str) -> None:
    """And counts the others."""
    for number in range(files):
        (tmp_path / f"{number:02}.toml").write_text("not = = toml")
    with pytest.raises(NoticeHole) as raised:
        notice.load(tmp_path)
    message = str(raised.value)
    assert sum(f"{number:02}.toml" in message for number in range(files)) == named_files
    assert message.endswith(rest) if rest else "more" not in message


def test_a_built_in_text_has_its_translations() -> None:
    """From the catalogue, in each language."""
    title = notice.load().purposes["provide"].title
    assert len({title.read(language) for language in ("en", "de", "id")}) == 3


@pytest.mark.requirement("R50")
def test_records_of_requests_are_kept_for_two_years_at_least() -> None:
    """24 months under any law (11 CCR 7101(a)), 72 under HIPAA (45 CFR 164.316)."""
    assert log_months([]) == 24
    assert log_months([named("gdpr")]) == 24
    assert log_months([named("gdpr"), named("hipaa")]) == 72


def test_a_regime_is_shown_with_its_source() -> None:
    """Who described it, where its text is, and which figure is whose."""
    shown = named("gdpr").to_json()
    assert (shown["name"], shown["described_by"]) == ("gdpr", "built_in")
    assert str(shown["source"]).startswith("https://eur-lex.europa.eu/")
    own = Regime(name="own", title="Own", profiles=frozenset({"access"}), period=Period(days=10))
    assert (own.to_json()["source"], own.to_json()["described_by"]) == (None, "built_in")
    assert own.to_json()["figures"] == {"access": "law"}


@pytest.mark.parametrize("where", ["controller", "recipients.hosting"])
def test_a_safeguard_must_be_defined(tmp_path: Path, where: str) -> None:
    """Of the controller, and of each recipient."""
    register = notice.load().model_dump(mode="json", exclude_none=True)
    hosting = register["recipients"]["hosting"]
    table = {**hosting, "safeguard": "made_up"} if where != "controller" else {"safeguard": "made_up"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if not isinstance(value, dict)]
    texts = [
        f"{name} = {{ en = {json.dumps(value['en'])} }}" for name, value in table.items() if isinstance(value, dict)
    ]
    (tmp_path / "own.toml").write_text("\n".join(['version = "own"', f"[{where}]", *lines, *texts]))
    with pytest.raises(NoticeHole, match=f"{where}.safeguard"):
        notice.load(tmp_path)


@pytest.mark.parametrize(
    ("period", "extended", "is_longer"),
    [
        (Period(days=30), Period(days=30), False),
        (Period(days=30), Period(days=31), True),
        (Period(months=1), Period(days=31), False),
        (Period(months=1), Period(days=32), True),
        (Period(days=28), Period(months=1), False),
        (Period(days=27), Period(months=1), True),
        (Period(months=2), Period(days=62), False),
        (Period(months=2), Period(days=63), True),
        (Period(days=55), Period(months=2), True),
        (Period(days=56), Period(months=2), False),
    ],
)
def test_an_extended_period_is_longer_than_the_first(period: Period, extended: Period, is_longer: bool) -> None:
    """In every month: one of 31 days counts for the first period, one of 28 for the extended period."""
    about: dict[str, Any] = {"name": "own", "title": "Own", "profiles": frozenset({"access"}), "period": period}
    if is_longer:
        assert Regime(**about, extended_period=extended).extended_period == extended
    else:
        with pytest.raises(BadInput, match="longer"):
            Regime(**about, extended_period=extended)


@pytest.mark.parametrize(
    ("subject", "covered"),
    [
        (SubjectFacts(), True),
        (SubjectFacts("contact", None, "ten_a"), True),
        (SubjectFacts("contact", None, "ten_b"), False),
        (SubjectFacts("user", None, None), False),
        (SubjectFacts(None, "DE", None), True),
    ],
)
def test_a_law_for_tenants_covers_their_subjects(subject: SubjectFacts, covered: bool) -> None:
    """A person without a tenant is excluded, a subject that is not known is not."""
    regime = Regime(
        name="own",
        title="Own",
        profiles=frozenset({"access"}),
        period=Period(days=1),
        tenants=frozenset({"ten_a"}),
    )
    assert regime.covers(subject) is covered


def test_only_the_file_of_a_deployment_describes_own_regimes() -> None:
    """The built-in table does not."""
    described = parse((ROOT / "portability" / "law" / "regimes.toml").read_text())
    assert {regime.to_json()["described_by"] for regime in described.values()} == {"built_in"}
