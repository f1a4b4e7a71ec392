"""Rules of the scan of outgoing data: what it looks for and what it does, as data (scan_rules.toml, docs/scan.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from portability.api.errors import ArchiveError, BadInput
from portability.law.regimes import Law, applying


class ScanBlocked(ArchiveError):
    """The scan found data that must not leave; nothing is delivered."""

    code = "scan_blocked"
    default_hint = "see docs/scan.md, then `portability retry ID`"


class ScanAction(StrEnum):
    """What happens to a value that a rule finds."""

    REPORT = "report"
    """It is exported unchanged, and the ledger counts it."""
    MASK = "mask"
    """A visible mark with the rule's id replaces it, and the ledger counts it."""
    BLOCK = "block"
    """Nothing is delivered: the export fails, and a person has to look at it."""


class FindingKind(StrEnum):
    """What a rule is about; actions are chosen by kind."""

    CANARY = "canary"
    """A planted value in a place from which nothing must leave."""
    SECRET = "secret"  # noqa: S105  # a word, not a password
    """A value that gives access to something (R22)."""
    CARD = "card"
    """A card number (PCI DSS 3.4)."""
    ID_NUMBER = "id-number"
    """The number of an identity document."""


STRICTNESS = (ScanAction.REPORT, ScanAction.MASK, ScanAction.BLOCK)
ScanActions = Mapping[FindingKind, ScanAction]


@dataclass(frozen=True, slots=True)
class ScanRule:
    """What is searched for. A rule without a pattern is a number that code with the rule's name checks."""

    id: str
    kind: FindingKind
    title: str
    literals: tuple[str, ...] = ()
    """One of these texts is in each matching value: they are searched first, for all rules at once."""
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Brand:
    """Card numbers of one issuer's network."""

    name: str
    prefixes: tuple[tuple[str, str], ...]
    """Ranges, both ends included; both ends have the same length."""
    digits: frozenset[int]

    def issues(self, number: str) -> bool:
        """Return whether a number (digits) has the length and the beginning of this brand's numbers."""
        return len(number) in self.digits and any(low <= number[: len(low)] <= high for low, high in self.prefixes)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The content of scan_rules.toml."""

    version: str
    rules: tuple[ScanRule, ...]
    brands: tuple[Brand, ...]
    provinces: Mapping[str, tuple[int, int]]
    """The highest regency code and the highest city code of each province."""
    actions: ScanActions
    profiles: Mapping[str, ScanActions]
    floors: Mapping[str, ScanActions]
    """The minimum action, by regime."""


def actions(profile: str, regimes: Iterable[Law] = (), asked: ScanActions | None = None) -> ScanActions:
    """Return the action for each kind in an export of a profile: as configured, but at least what a regime requires.

    `switch` always reports. Raises UnknownRegime.
    """
    known = built_in()
    of_profile = known.profiles.get(profile)
    chosen = dict(of_profile or {**known.actions, **(asked or {})})
    for regime in applying(regimes, profile):
        for kind, least in known.floors.get(regime.name, {}).items():
            chosen[kind] = max(chosen[kind], least, key=STRICTNESS.index)
    return chosen


def asked_actions(text: str) -> ScanActions:
    """Parse the setting, such as `canary=mask,id-number=report`. Raises ValueError."""
    pairs = [one.partition("=") for one in listed(text)]
    return {FindingKind(kind.strip()): ScanAction(action.strip()) for kind, _, action in pairs}


def checked_actions(text: str) -> str:
    """Return the text if it can be parsed. Raises ValueError."""
    try:
        asked_actions(text)
    except ValueError:
        kinds, does = ", ".join(FindingKind), ", ".join(ScanAction)
        raise ValueError(f"needs KIND=ACTION, separated by commas; kinds: {kinds}; actions: {does}") from None
    return text


def listed(text: str) -> list[str]:
    """Split a text at its commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def canary_rule(planted: Iterable[str]) -> ScanRule:
    """Make the rule for planted values: the built-in texts and those of this deployment."""
    rule = next(rule for rule in built_in().rules if rule.kind is FindingKind.CANARY)
    literals = (*rule.literals, *planted)
    pattern = "|".join(rf"{re.escape(text)}[\w-]*" for text in literals)
    return replace(rule, literals=literals, pattern=re.compile(pattern))


@cache
def built_in() -> Ruleset:
    """Return the rules that come with this software."""
    return parse(files("portability.law").joinpath("scan_rules.toml").read_text("utf-8"))


def parse(text: str) -> Ruleset:
    """Read the rules of a TOML document. Raises BadInput."""
    try:
        table = tomllib.loads(text)
        return Ruleset(
            version=table["version"],
            rules=tuple(map(_rule, table["rules"])),
            brands=tuple(map(_brand, table["cards"])),
            provinces={province: (most[0], most[1]) for province, most in table["provinces"].items()},
            actions=_actions(table["actions"]),
            profiles={name: _actions(of) for name, of in table["profiles"].items()},
            floors={name: _actions(of) for name, of in table["regimes"].items()},
        )
    except (ValueError, TypeError, KeyError, re.error) as error:
        raise BadInput(f"cannot read the scan rules: {type(error).__name__}: {error}") from None


def _rule(table: Mapping[str, Any]) -> ScanRule:
    pattern = table.get("pattern")
    return ScanRule(
        id=table["id"],
        kind=FindingKind(table["kind"]),
        title=table["title"],
        literals=tuple(table.get("literals", ())),
        pattern=None if pattern is None else re.compile(pattern),
    )


def _brand(table: Mapping[str, Any]) -> Brand:
    ranges = [prefix.partition("-") for prefix in table["prefixes"]]
    return Brand(table["brand"], tuple((low, high or low) for low, _, high in ranges), frozenset(table["digits"]))


def _actions(table: Mapping[str, str]) -> ScanActions:
    return {FindingKind(kind): ScanAction(action) for kind, action in table.items()}
