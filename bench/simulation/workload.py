"""A year of requests: people and tenants by size, days and nights, bursts, companies that switch. Made by a seed."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from portability.law.profiles import Profile

HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS
MB, GB = 1_000_000, 1_000_000_000
BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 10, 9, 10, 10, 10, 9, 8, 8, 7, 6, 4, 3, 2)
"""How many requests come in each hour of a day, relative to the others."""
ON_WEEKENDS = 0.35
"""How many requests come on a Saturday or Sunday, relative to a working day."""
SATURDAY = 5
"""Of the days of a week from 0, of which the year begins with the first."""


@dataclass(frozen=True, slots=True)
class YearPlan:
    """What is asked for in the simulated time."""

    days: int = 365
    people: int = 400_000
    """People with an account, each of whom asks once."""
    contacts: int = 600_000
    """Customers of tenants, each of whom asks once."""
    tenants: int = 10_000
    switches: int = 500
    """Companies that take all their data with them."""
    tenant_bursts: int = 40
    """Tenants whose customers ask at the same time, because the tenant has written to all of them."""
    tenant_burst_requests: int = 2_000
    news: int = 4
    """Days on which people with an account ask because they have read about it."""
    news_requests: int = 20_000
    again: float = 0.03
    """The share of people who ask again within an hour."""
    officer: float = 0.02
    """The share of requests that wait for an officer's decision."""
    person_bytes: tuple[float, float] = (20 * MB, 1.6)
    """Median of a log-normal size, and the standard deviation of its logarithm."""
    contact_bytes: tuple[float, float] = (2 * MB, 1.4)
    switch_bytes: tuple[float, float] = (30 * GB, 1.5)


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request, as far as waiting depends on it."""

    at: float
    """Seconds since the year began."""
    tenant: str | None
    """None: a person with an account."""
    subject: int
    profile: Profile
    bytes: int
    needs_officer: bool = False
    in_burst: bool = False
    """Whether it is part of a tenant's burst, or of the news."""


def requests(plan: YearPlan, chance: Random) -> list[SimulatedRequest]:
    """Return all requests, the earliest first."""
    return sorted(_requests(plan, chance), key=lambda request: request.at)


def _requests(plan: YearPlan, chance: Random) -> Iterator[SimulatedRequest]:
    moments, tenants = _Moments(plan.days, chance), _Tenants(plan.tenants, chance)
    subject = 0
    for at in _with_bursts(plan.people, plan.news, plan.news_requests, DAY_SECONDS, moments, chance):
        subject += 1
        yield from _asked(plan, chance, subject, None, *at)
    in_bursts = plan.tenant_bursts * plan.tenant_burst_requests
    for _ in range(plan.contacts - in_bursts):
        subject += 1
        yield from _asked(plan, chance, subject, tenants.one(), moments.one(), False)
    for _ in range(plan.tenant_bursts):
        tenant, began = tenants.one(), moments.one()
        for _ in range(plan.tenant_burst_requests):
            subject += 1
            yield from _asked(plan, chance, subject, tenant, began + chance.expovariate(1 / HOUR_SECONDS), True)
    for _ in range(plan.switches):
        subject += 1
        size = _size(plan.switch_bytes, chance)
        yield SimulatedRequest(moments.one(), tenants.one(), subject, Profile.SWITCH, size)


def _with_bursts(
    count: int, bursts: int, each: int, seconds: float, moments: _Moments, chance: Random
) -> Iterator[tuple[float, bool]]:
    """Yield moments, and whether they are in a burst that fades within `seconds`."""
    for _ in range(count - bursts * each):
        yield moments.one(), False
    for _ in range(bursts):
        began = moments.one()
        for _ in range(each):
            yield began + chance.expovariate(3 / seconds), True


def _asked(
    plan: YearPlan, chance: Random, subject: int, tenant: str | None, at: float, in_burst: bool
) -> Iterator[SimulatedRequest]:
    """Yield a person's request, and sometimes a second one."""
    size = _size(plan.person_bytes if tenant is None else plan.contact_bytes, chance)
    needs_officer = chance.random() < plan.officer
    yield SimulatedRequest(at, tenant, subject, Profile.ACCESS, size, needs_officer, in_burst)
    if chance.random() < plan.again:
        later = at + chance.random() * HOUR_SECONDS
        yield SimulatedRequest(later, tenant, subject, Profile.PORTABILITY, size, in_burst=in_burst)


def _size(distribution: tuple[float, float], chance: Random) -> int:
    median, deviation = distribution
    return int(median * 2.718281828 ** chance.gauss(0, deviation))


class _Moments:
    """Moments of the year: more at noon than at night, more on a Tuesday than on a Sunday."""

    def __init__(self, days: int, chance: Random) -> None:
        self._chance = chance
        by_day = [ON_WEEKENDS if is_weekend(day) else 1.0 for day in range(days)]
        self._hours = [*accumulate(day * hour for day in by_day for hour in BY_HOUR)]

    def one(self) -> float:
        hour = bisect(self._hours, self._chance.random() * self._hours[-1])
        return (hour + self._chance.random()) * HOUR_SECONDS


class _Tenants:
    """Tenants by their number of customers: a few have most of them."""

    def __init__(self, count: int, chance: Random) -> None:
        self._chance = chance
        self._names = [f"ten_{number:05}" for number in range(count)]
        self._sizes = [*accumulate(chance.paretovariate(1.1) for _ in range(count))]

    def one(self) -> str:
        return self._names[bisect(self._sizes, self._chance.random() * self._sizes[-1])]


def is_weekend(day: int) -> bool:
    """Return whether a day of the year, from 0, is a Saturday or a Sunday."""
    return day % 7 >= SATURDAY
