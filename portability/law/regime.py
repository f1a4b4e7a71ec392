"""A regime: one law's deadline for requests, and to whom it applies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from portability.api import JSON
from portability.api.errors import BadInput
from portability.law.rights import LegalRight

EXTENSION = "extension"
LOG_MONTHS = 24
"""The minimum under any law: CCPA regulation 7101(a)."""

LONGEST = {"months": 1200, "days": 36_500, "hours": 876_000}
"""A hundred years, about: a longer period is a mistake, and its end may be beyond the calendar."""


class PauseReason(StrEnum):
    """Why the time of a deadline may be paused, if its regime allows it."""

    IDENTITY = "identity"
    """Reasonable doubts about the requester's identity (GDPR Art. 12(6); EDPB Guidelines 01/2022, 5.3)."""
    CLARIFICATION = "clarification"
    """The person was asked which part of a very large amount of data they want (GDPR recital 63)."""


class ExtensionGround(StrEnum):
    """A ground that a law requires for an extension."""

    TECHNICAL = "technical"
    """The first period is technically not feasible (Data Act Art. 25(4))."""


class FigureOrigin(StrEnum):
    """Where the length of a period comes from."""

    LAW = "law"
    POLICY = "policy"
    """The law states no figure: the deployment decides."""


class RegimeOrigin(StrEnum):
    """Who describes a regime."""

    BUILT_IN = "built_in"
    DEPLOYMENT = "deployment"
    """The file of the deployment describes it, or its figures."""


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time as a law states it; exactly one of the numbers is not 0."""

    months: int = 0
    days: int = 0
    hours: int = 0

    def __post_init__(self) -> None:
        numbers = (self.months, self.days, self.hours)
        if any(type(number) is not int or number < 0 for number in numbers) or sum(map(bool, numbers)) != 1:
            raise BadInput("a period needs exactly one of months, days and hours")
        for unit, most in LONGEST.items():
            if getattr(self, unit) > most:
                raise BadInput(f"a period has at most {most} {unit}")

    @property
    def longest(self) -> timedelta:
        """Return the length with months of 31 days."""
        return timedelta(days=self.months * 31 + self.days, hours=self.hours)

    @property
    def shortest(self) -> timedelta:
        """Return the length with months of 28 days."""
        return timedelta(days=self.months * 28 + self.days, hours=self.hours)

    def __str__(self) -> str:
        """Return the period in words, such as `30 days`."""
        ((unit, number),) = self.to_json().items()
        return f"{number} {unit if number != 1 else unit.removesuffix('s')}"

    def to_json(self) -> dict[str, JSON]:
        """Return the number that is not 0."""
        numbers = {"months": self.months, "days": self.days, "hours": self.hours}
        return {unit: number for unit, number in numbers.items() if number}


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What decides which laws apply to a subject; None: not known."""

    kind: str | None = None
    country: str | None = None
    """Residence, ISO 3166-1 alpha-2."""
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Regime:
    """One law's deadline."""

    name: str
    title: str
    profiles: frozenset[str]
    period: Period
    extended_period: Period | None = None
    """The whole period after an extension, from the same day as `period`; None: an extension is not possible."""
    extension_grounds: frozenset[ExtensionGround] = frozenset()
    """The grounds of which an extension needs one; empty: the law names no closed list."""
    extension_working_days: int = 0
    """How many working days after receipt an extension may be declared; 0: until the first deadline."""
    customer_extension: bool = False
    """Whether the customer may extend the period once, to a date of its own choice."""
    ends_on_a_working_day: bool = False
    pauses: frozenset[PauseReason] = frozenset()
    notice: Period | None = None
    """The longest notice period, at whose end the deadline's time starts; None: it starts with the receipt."""
    retrieval: Period | None = None
    """How long after the deadline the archive must still be there; None: the law does not say."""
    subject_kinds: frozenset[str] = frozenset()
    """The kinds of subjects to which it applies; empty: all."""
    countries: frozenset[str] = frozenset()
    """The countries of residence for which it applies, ISO 3166-1 alpha-2; empty: all."""
    tenants: frozenset[str] = frozenset()
    """The tenants for whose data it applies; empty: all."""
    log_months: int = LOG_MONTHS
    """How long the record of a request is kept after the answer."""
    source: str = ""
    """The address of the official text."""
    checked: str = ""
    """What the figures were compared with; empty: they were not compared with the official text."""
    no_figure_for: frozenset[str] = frozenset()
    """Profiles, or `extension`, for which the law states no figure: the number is the policy of the deployment."""
    law: str = ""
    """The name of the law in a citation, such as `GDPR`; empty: the name of the regime."""
    rights: tuple[LegalRight, ...] = ()
    """The rights that the law gives, in the order of its table."""
    is_own: bool = False
    """Whether the file of the deployment describes it or its figures."""

    def __post_init__(self) -> None:
        if self.extended_period is not None and self.extended_period.shortest <= self.period.longest:
            raise BadInput("extended_period must be longer than period", hint="it begins at receipt too")
        if self.retrieval is not None and not self.retrieval.days:
            raise BadInput("retrieval needs a number of days")
        known = self.profiles if self.extended_period is None else self.profiles | {EXTENSION}
        if unknown := sorted(self.no_figure_for - known):
            possible = f"possible: {', '.join(sorted(known))}"
            raise BadInput(f"no_figure_for contains {', '.join(unknown)}", hint=possible)

    def origin(self, what: str) -> FigureOrigin:
        """Return where the figure for a profile, or for `extension`, comes from."""
        return FigureOrigin.POLICY if what in self.no_figure_for else FigureOrigin.LAW

    def cites(self, codes: Collection[str]) -> str | None:
        """Return where the law gives the rights with these codes, such as `GDPR Art. 15, Art. 20`; None: nowhere."""
        places = dict.fromkeys(right.article for right in self.rights if right.code in codes)
        return f"{self.law or self.name} {', '.join(places)}" if places else None

    def covers(self, subject: SubjectFacts) -> bool:
        """Return whether it applies to a subject. What is not known of the subject excludes no law."""
        pairs = ((self.subject_kinds, subject.kind), (self.countries, subject.country), (self.tenants, subject.tenant))
        # A person without a tenant is not a subject of a tenant: this is known, and excludes a law for tenants only.
        is_of_tenant = not self.tenants or subject.kind is None or subject.tenant is not None
        return is_of_tenant and all(not names or value is None or value in names for names, value in pairs)

    def to_json(self) -> dict[str, JSON]:
        """Return the regime as the command line and the API show it, without the names of tenants."""
        figures = [*sorted(self.profiles), *([] if self.extended_period is None else [EXTENSION])]
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source or None,
            "checked": self.checked or None,
            "described_by": RegimeOrigin.DEPLOYMENT if self.is_own else RegimeOrigin.BUILT_IN,
            "profiles": sorted(self.profiles),
            "period": self.period.to_json(),
            "extended_period": None if self.extended_period is None else self.extended_period.to_json(),
            "figures": {what: self.origin(what) for what in figures},
            "subject_kinds": sorted(self.subject_kinds),
            "countries": sorted(self.countries),
            "some_tenants_only": bool(self.tenants),
        }
