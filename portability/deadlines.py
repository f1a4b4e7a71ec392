"""When an export is due: by each law that applies, and the earliest counts. Pure.

Laws are data (regimes.toml). Periods are counted as Regulation (EEC, Euratom) 1182/71 Art. 3 says: the day of the event
does not count; a period of months ends on the day with the same number, or on the month's last day where it has none;
where a regime says so, one that would end on a Saturday, Sunday or holiday ends with the next working day. A period
of hours runs from the very moment. Days are those of a place: its time zone and its holidays.
"""

from __future__ import annotations

import tomllib
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from portability.errors import BadDate, BadInput, UnknownRegime, WrongState

DEFAULT_REGIMES = ("gdpr", "uu_pdp", "data_act")
"""Those of the platform's privacy policy: Europe, Indonesia, and companies that leave."""
SATURDAY = 5
LOG_MONTHS = 24
"""At least, under any law: CCPA regulation 7101(a)."""
HALF, MOST = 0.5, 0.8
EXPIRY_NOTICE = timedelta(hours=48)
"""How long before its archive is deleted a subject is told so."""


class PauseReason(StrEnum):
    """Why a clock may stand still, where its regime lets it."""

    IDENTITY = "identity"
    """Reasonable doubts about who asks (GDPR Art. 12(6); EDPB Guidelines 01/2022, 5.3)."""
    CLARIFICATION = "clarification"
    """What a person wants of very much data was asked for (GDPR recital 63)."""


class Alarm(StrEnum):
    """How far an open request has come on its way to the deadline."""

    NONE = "none"
    HALF = "half"
    MOST = "most"
    """80 percent of the time is used up."""
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time in the words of a law; exactly one of them is not 0."""

    months: int = 0
    days: int = 0
    hours: int = 0

    def __post_init__(self) -> None:
        if sorted((self.months, self.days, self.hours))[:2] != [0, 0] or max(self.months, self.days, self.hours) < 1:
            raise BadInput("a period is a number of months, days or hours, and of one of them only")


@dataclass(frozen=True, slots=True)
class Place:
    """Where days begin and which of them are no working days."""

    zone: tzinfo
    holidays: frozenset[date] = frozenset()

    def works(self, day: date) -> bool:
        return day.weekday() < SATURDAY and day not in self.holidays


UTC_PLACE = Place(UTC)


@dataclass(frozen=True, slots=True)
class Regime:
    """One law's deadline."""

    name: str
    title: str
    profiles: frozenset[str]
    period: Period
    extension: Period | None = None
    """How much longer, counted on from the first deadline; None: there is none."""
    ends_on_a_working_day: bool = False
    pauses: frozenset[PauseReason] = frozenset()
    notice: Period | None = None
    """The longest period of notice, with whose end the clock begins; None: it begins with the receipt."""
    log_months: int = LOG_MONTHS
    """How long the record of a request is kept after its answer."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which a person was waited for; without an end it still lasts."""

    reason: PauseReason
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of one request's time."""

    started_at: datetime
    """Receipt."""
    pauses: Sequence[Pause] = ()
    extended: bool = False
    notice_ends_at: datetime | None = None
    """Where the time of those regimes begins that know a period of notice (Data Act Art. 25(2)(d))."""

    def begins_at(self, regime: Regime) -> datetime:
        return self.started_at if regime.notice is None else self.notice_ends_at or self.started_at


def due(regime: Regime, clock: Clock, place: Place = UTC_PLACE, *, at: datetime | None = None) -> datetime:
    """The deadline by one regime (aware UTC): the first moment that is too late.

    A pause that the regime does not know changes nothing; one that still lasts counts until `at`.
    """
    first = _end(clock.begins_at(regime), regime.period, regime, place)
    if clock.extended and regime.extension is not None:
        first = _end(first - timedelta(microseconds=1), regime.extension, regime, place)
    stood_still = _stood_still(regime, clock, at)
    return first if not stood_still else _whole_day(first + stood_still, regime, place)


def earliest(
    regimes: Iterable[Regime], clock: Clock, place: Place = UTC_PLACE, *, at: datetime | None = None
) -> datetime:
    """The deadline that counts. Raises BadInput without any regime."""
    moments = [due(regime, clock, place, at=at) for regime in regimes]
    if not moments:
        raise BadInput("no regime applies to this request", hint="name one in PORTABILITY_REGIMES")
    return min(moments)


def extended(clock: Clock, regimes: Iterable[Regime], place: Place = UTC_PLACE, *, at: datetime, reason: str) -> Clock:
    """The clock after its one extension, of whose reason the person is told (GDPR Art. 12(3)).

    Raises: BadInput without a reason; WrongState for a second one, after a first deadline, or where a regime has none.
    """
    among = list(regimes)
    if not reason.strip():
        raise BadInput("an extension needs its reason", hint="the person is told of it")
    if clock.extended:
        raise WrongState("the deadline was extended already, and once is all that the law allows")
    if at >= earliest(among, clock, place, at=at):
        raise WrongState("the deadline has passed: it can be extended before only")
    if fixed := sorted(regime.name for regime in among if regime.extension is None):
        raise WrongState(f"{', '.join(fixed)} knows no extension")
    return replace(clock, extended=True)


def check_notice(regimes: Iterable[Regime], received_at: datetime, ends_at: datetime, place: Place = UTC_PLACE) -> None:
    """Whether a period of notice may end then. Raises BadInput where no regime knows one; BadDate."""
    periods = [regime.notice for regime in regimes if regime.notice is not None]
    if not periods:
        raise BadInput("no law that applies to this request knows a period of notice", hint="leave it out")
    if ends_at < received_at:
        raise BadDate("the period of notice ends before the request came in")
    day = received_at.astimezone(place.zone).date()
    last = min(_last_day(day, period) for period in periods)
    if ends_at.astimezone(place.zone).date() > last:
        raise BadDate("the period of notice is longer than the law allows", hint=f"it ends on {last} at the latest")


def alarm(started_at: datetime, due_at: datetime, at: datetime) -> Alarm:
    """How far it has come."""
    if at >= due_at:
        return Alarm.MISSED
    used = (at - started_at) / (due_at - started_at)
    return Alarm.MOST if used >= MOST else Alarm.HALF if used >= HALF else Alarm.NONE


def kept_until(ended_at: datetime, ttl_seconds: float) -> datetime:
    """Until when an archive is kept that became ready at a time."""
    return ended_at + timedelta(seconds=ttl_seconds)


def applying(names: Iterable[str], profile: str) -> list[Regime]:
    """Of the regimes that a deployment is under, those with a deadline for this profile. Raises UnknownRegime."""
    return [regime for regime in map(named, names) if profile in regime.profiles]


def log_months(names: Iterable[str]) -> int:
    """How long the strictest of these regimes wants the record of a request kept. Raises UnknownRegime."""
    return max((named(name).log_months for name in names), default=LOG_MONTHS)


def profiles_without(names: Iterable[str]) -> Sequence[str]:
    """Profiles that none of these regimes gives a deadline. Raises UnknownRegime."""
    covered = {profile for name in names for profile in named(name).profiles}
    return sorted({profile for regime in _built_in().values() for profile in regime.profiles} - covered)


def named(name: str) -> Regime:
    """The regime of a name. Raises UnknownRegime."""
    known = _built_in()
    if name not in known:
        raise UnknownRegime(f"no regime is named {name!r}", hint=f"there are {', '.join(sorted(known))}")
    return known[name]


def parse(text: str) -> Mapping[str, Regime]:
    """Regimes of a TOML document, by name. Raises BadInput."""
    try:
        tables = {name: table for name, table in tomllib.loads(text).items() if isinstance(table, dict)}
        return {name: _regime(name, table) for name, table in tables.items()}
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"the regimes cannot be read: {type(error).__name__}: {error}") from None


@cache
def _built_in() -> Mapping[str, Regime]:
    return parse(files("portability").joinpath("regimes.toml").read_text("utf-8"))


def _regime(name: str, table: Mapping[str, Any]) -> Regime:
    rest = dict(table)
    extension, notice = rest.pop("extension", None), rest.pop("notice", None)
    return Regime(
        name=name,
        title=rest.pop("title"),
        profiles=frozenset(rest.pop("profiles")),
        period=Period(**rest.pop("period")),
        extension=None if extension is None else Period(**extension),
        notice=None if notice is None else Period(**notice),
        pauses=frozenset(map(PauseReason, rest.pop("pauses", ()))),
        **rest,
    )


def _end(started_at: datetime, period: Period, regime: Regime, place: Place) -> datetime:
    if period.hours:
        return started_at + timedelta(hours=period.hours)
    return _close_of(_last_day(started_at.astimezone(place.zone).date(), period), regime, place)


def _last_day(day: date, period: Period) -> date:
    return months_later(day, period.months) if period.months else day + timedelta(days=period.days)


def _whole_day(moment: datetime, regime: Regime, place: Place) -> datetime:
    """A deadline that was moved by a pause: hours stay hours, days end with a day."""
    if regime.period.hours:
        return moment
    return _close_of((moment - timedelta(microseconds=1)).astimezone(place.zone).date(), regime, place)


def _close_of(day: date, regime: Regime, place: Place) -> datetime:
    while regime.ends_on_a_working_day and not place.works(day):
        day += timedelta(days=1)
    return datetime.combine(day + timedelta(days=1), time(), place.zone).astimezone(UTC)


def months_later(day: date, months: int) -> date:
    """The day with the same number so many months on, or before where they are negative; the month's last instead."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _stood_still(regime: Regime, clock: Clock, at: datetime | None) -> timedelta:
    """The time of all pauses that the regime knows; where they overlap it counts once."""
    total, until = timedelta(), clock.begins_at(regime)
    for pause in sorted(clock.pauses, key=lambda pause: pause.began_at):
        ended_at = pause.ended_at or at
        if pause.reason not in regime.pauses or ended_at is None:
            continue
        began_at = max(pause.began_at, until)
        if ended_at > began_at:
            total, until = total + (ended_at - began_at), ended_at
    return total
