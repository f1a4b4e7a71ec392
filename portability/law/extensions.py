"""Extensions of deadlines: when a law allows one, for which ground, and until when (R12). No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

from portability.api.errors import BadInput
from portability.errors import BadDate, WrongState
from portability.law.deadlines import UTC_CALENDAR, BusinessCalendar, DeadlineClock, due, earliest
from portability.law.regime import ExtensionGround, Regime


def extended(
    clock: DeadlineClock,
    regimes: Iterable[Regime],
    place: BusinessCalendar = UTC_CALENDAR,
    *,
    at: datetime,
    reason: str,
    ground: ExtensionGround | None = None,
    until: datetime | None = None,
) -> DeadlineClock:
    """Return the clock after its only extension, whose reason the person is informed of (GDPR Art. 12(3)).

    Args:
        clock: the clock before.
        regimes: the laws that must allow the extension.
        place: whose working days count.
        at: the moment of the decision.
        reason: what the person is informed of.
        ground: the ground that a law requires (Data Act Art. 25(4)).
        until: an end before the one that the law allows; None: the longest period.

    Raises: BadInput without a reason or a required ground; BadDate for an end that the law does not allow; WrongState
    for a second extension, after the first deadline, too late to declare it, or if a regime has none.
    """
    among = list(regimes)
    if not reason.strip():
        raise BadInput("an extension needs a reason", hint="the person is informed of it")
    if clock.extended:
        raise WrongState("the deadline was already extended; the law allows one extension")
    if at >= (first := earliest(among, clock, place, at=at)):
        raise WrongState("the deadline has passed; it can only be extended before it passes")
    if fixed := sorted(regime.name for regime in among if regime.extended_period is None):
        raise WrongState(f"{', '.join(fixed)} does not allow an extension")
    for regime in among:
        _check_declaration(regime, clock, place, at, ground)
    longest = earliest(among, replace(clock, extended=True), place, at=at)
    if until is not None and not first < until <= longest:
        raise BadDate(
            "the extension must end after the first deadline, and when the law allows it at the latest",
            hint=f"first deadline: {first:%Y-%m-%d %H:%M} UTC; the law allows {longest:%Y-%m-%d %H:%M} UTC",
        )
    return replace(clock, extended=True, extended_until=until)


def first_end_of_others(
    clock: DeadlineClock,
    regimes: Iterable[Regime],
    place: BusinessCalendar = UTC_CALENDAR,
    *,
    at: datetime,
    ground: ExtensionGround | None,
) -> datetime | None:
    """Return the earliest first deadline of the laws that do not allow an extension on this ground, or not any more.

    None: all allow it, or have none, so that their deadline is not moved anyway.
    """
    others = []
    for regime in regimes:
        try:
            _check_declaration(regime, clock, place, at, ground)
        except (BadInput, WrongState):
            others.append(due(regime, clock, place, at=at))
    return min(others, default=None)


def extended_by_customer(
    clock: DeadlineClock,
    regimes: Iterable[Regime],
    place: BusinessCalendar = UTC_CALENDAR,
    *,
    at: datetime,
    ends_at: datetime,
) -> DeadlineClock:
    """Return the clock after the single extension that the customer chose itself (Data Act Art. 25(5)).

    The law sets no longest period for it, so any end after the current deadline is possible.

    Raises: WrongState if no regime has it, for a second one, and after the deadline; BadDate for an earlier end.
    """
    among = [regime for regime in regimes if regime.customer_extension]
    if not among:
        raise WrongState("no law that applies to this request has an extension by the customer")
    if clock.customer_ends_at is not None:
        raise WrongState("the customer has already extended the period; the law allows the customer one extension")
    if at >= (current := earliest(among, clock, place, at=at)):
        raise WrongState("the deadline has passed; it can only be extended before it passes")
    if ends_at <= current:
        raise BadDate(
            "the customer's extension ends before the current deadline",
            hint=f"choose an end after {current:%Y-%m-%d %H:%M} UTC",
        )
    return replace(clock, customer_ends_at=ends_at)


def _check_declaration(
    regime: Regime, clock: DeadlineClock, place: BusinessCalendar, at: datetime, ground: ExtensionGround | None
) -> None:
    """Check the ground of an extension and the time of its declaration. Raises BadInput, WrongState."""
    if regime.extension_grounds and ground not in regime.extension_grounds:
        raise BadInput(
            f"{regime.name} allows an extension only for a ground: {', '.join(sorted(regime.extension_grounds))}",
            hint="state the ground with --ground, and explain it in the reason",
        )
    if days := regime.extension_working_days:
        last = _working_days_later(clock.started_at.astimezone(place.zone).date(), days, place)
        if at.astimezone(place.zone).date() > last:
            raise WrongState(
                f"{regime.name} allows an extension only within {days} working days of the request: until {last}"
            )


def _working_days_later(day: date, count: int, place: BusinessCalendar) -> date:
    """Return the last of a number of working days; the day of the event does not count."""
    while count:
        day += timedelta(days=1)
        count -= place.works(day)
    return day
