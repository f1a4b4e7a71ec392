"""Extensions under the Data Act: by the provider, and by the customer. Dates are written out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from portability.api.errors import BadInput
from portability.errors import BadDate, WrongState
from portability.law.deadlines import UTC_CALENDAR, BusinessCalendar, DeadlineClock, deadline, due
from portability.law.extensions import extended, extended_by_customer
from portability.law.regime import ExtensionGround
from portability.law.regimes import named

TECHNICAL = ExtensionGround.TECHNICAL
DATA_ACT = [named("data_act")]
CLOCK = DeadlineClock(datetime(2026, 1, 12, 8, tzinfo=UTC))
"""Monday, 12 January 2026; without a notice period the 30 days end on 11 February."""
NOTICED = DeadlineClock(CLOCK.started_at, notice_ends_at=datetime(2026, 3, 12, tzinfo=UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def longer(clock: DeadlineClock, at: str, **asked: Any) -> datetime:
    wanted: dict[str, Any] = {"reason": "terabytes of recordings", "ground": TECHNICAL, **asked}
    return due(DATA_ACT[0], extended(clock, DATA_ACT, at=utc(at), **wanted))


@pytest.mark.requirement("R12")
@pytest.mark.parametrize(
    ("clock", "at", "expected"),
    [
        (CLOCK, "2026-01-30 23:59", "2026-08-13"),  # the 14th working day: seven months, to 12 August
        (NOTICED, "2026-01-30 23:59", "2026-10-13"),  # seven months from the start of the transition, 12 March
    ],
)
def test_an_extension_of_a_switch_is_declared_in_fourteen_working_days(
    clock: DeadlineClock, at: str, expected: str
) -> None:
    """Data Act Art. 25(4): counted from the request, not from the start of the transition; seven months at the most."""
    assert longer(clock, at) == utc(expected)


@pytest.mark.requirement("R12")
def test_a_late_extension_of_a_switch_is_refused() -> None:
    """Saturday, 31 January follows the 14th working day; a holiday moves the last day."""
    with pytest.raises(WrongState, match="14 working days of the request: until 2026-01-30"):
        longer(NOTICED, "2026-01-31 00:00")
    with_holiday = BusinessCalendar(UTC, frozenset({datetime(2026, 1, 14, tzinfo=UTC).date()}))
    monday = extended(NOTICED, DATA_ACT, with_holiday, at=utc("2026-02-02 23:59"), reason="terabytes", ground=TECHNICAL)
    assert monday.extended


@pytest.mark.requirement("R12")
def test_an_extension_of_a_switch_needs_a_technical_ground() -> None:
    """A heavy workload is not a ground under the Data Act."""
    with pytest.raises(BadInput, match="technical"):
        longer(CLOCK, "2026-01-13 09:00", ground=None)


@pytest.mark.requirement("R12")
@pytest.mark.parametrize("until", ["2026-02-12 00:00", "2026-08-13 00:01"])
def test_a_chosen_end_is_within_what_the_law_allows(until: str) -> None:
    """After the first deadline, and seven months after the start at the latest."""
    with pytest.raises(BadDate, match="the extension must end"):
        longer(CLOCK, "2026-01-13 09:00", until=utc(until))
    assert longer(CLOCK, "2026-01-13 09:00", until=utc("2026-05-01")) == utc("2026-05-01")
    assert longer(CLOCK, "2026-01-13 09:00", until=utc("2026-08-13 00:00")) == utc("2026-08-13 00:00")


@pytest.mark.requirement("R12")
def test_the_customer_extends_its_own_transition_once() -> None:
    """Data Act Art. 25(5): at any time before its end, without a ground and without a longest period, once."""
    chosen = extended_by_customer(NOTICED, DATA_ACT, at=utc("2026-04-10 12:00"), ends_at=utc("2027-12-01"))
    assert due(DATA_ACT[0], chosen) == utc("2027-12-01")
    with pytest.raises(WrongState, match="already extended"):
        extended_by_customer(chosen, DATA_ACT, at=utc("2026-05-01"), ends_at=utc("2028-01-01"))
    with pytest.raises(BadDate, match="before the current deadline"):
        extended_by_customer(NOTICED, DATA_ACT, at=utc("2026-04-10"), ends_at=utc("2026-04-12"))
    with pytest.raises(WrongState, match="has passed"):
        extended_by_customer(NOTICED, DATA_ACT, at=utc("2026-04-12"), ends_at=utc("2026-06-01"))
    with pytest.raises(WrongState, match="no law"):
        extended_by_customer(CLOCK, [named("gdpr")], at=utc("2026-01-13"), ends_at=utc("2026-06-01"))


@pytest.mark.requirement("R12")
def test_the_later_of_both_extensions_counts() -> None:
    """The customer's choice stands beside the provider's extension; retrieval begins after the later end."""
    both = extended(CLOCK, DATA_ACT, at=utc("2026-01-13"), reason="terabytes", ground=TECHNICAL)
    both = extended_by_customer(both, DATA_ACT, at=utc("2026-03-01"), ends_at=utc("2026-10-01"))
    found = deadline(DATA_ACT, "switch", both, UTC_CALENDAR)
    assert (found.at, found.retrieval_ends_at) == (utc("2026-10-01"), utc("2026-10-31"))


@pytest.mark.requirement("R41")
@pytest.mark.parametrize(("clock", "expected"), [(CLOCK, "2026-03-14"), (NOTICED, "2026-05-12")])
def test_retrieval_lasts_thirty_days_after_the_transition(clock: DeadlineClock, expected: str) -> None:
    """Data Act Art. 25(2)(g): whole calendar days, after the last day of the transition."""
    assert deadline(DATA_ACT, "switch", clock).retrieval_ends_at == utc(expected)
    assert deadline([named("gdpr")], "access", clock).retrieval_ends_at is None
