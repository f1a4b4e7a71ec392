"""What the scan of outgoing data looks for, and what it does there: rules as data (scan.toml, docs/scan.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from portability.deadlines import applying
from portability.errors import ArchiveError, BadInput


class ScanBlocked(ArchiveError):
    """The scan found what must not leave; nothing is delivered."""

    code = "scan_blocked"
    default_hint = "docs/scan.md tells what to do; then `portability retry ID`"


class Action(StrEnum):
    """What happens to a value that a rule finds."""

    REPORT = "report"
    """It leaves as it is, and the ledger counts it."""
    MASK = "mask"
    """A visible mark with the rule's id stands in its place, and the ledger counts it."""
    BLOCK = "block"
    """Nothing is delivered: the export fails, and somebody has to look."""


class Kind(StrEnum):
    """What a rule is about; actions go by it."""

    CANARY = "canary"
    """Planted where nothing must leave."""
    SECRET = "secret"  # noqa: S105  # a word, and no password
    """Opens something (R22)."""
    CARD = "card"
    """PCI DSS 3.4."""
    ID_NUMBER = "id-number"
    """Of an identity document."""


STRICTNESS = (Action.REPORT, Action.MASK, Action.BLOCK)
Actions = Mapping[Kind, Action]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is looked for. Without a pattern it is a number that code of the rule's name checks."""

    id: str
    kind: Kind
    title: str
    literals: tuple[str, ...] = ()
    """One of them stands in each value that the pattern matches: they are found first, for all rules at once."""
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Brand:
    """Card numbers of one issuer's network."""

    name: str
    prefixes: tuple[tuple[str, str], ...]
    """Ranges, both ends included; of one length each."""
    digits: frozenset[int]

    def issues(self, number: str) -> bool:
        """Whether a number of digits has its length and begins as its numbers do."""
        return len(number) in self.digits and any(low <= number[: len(low)] <= high for low, high in self.prefixes)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All of scan.toml."""

    version: str
    rules: tuple[Rule, ...]
    brands: tuple[Brand, ...]
    provinces: Mapping[str, tuple[int, int]]
    """Highest regency and highest city of each."""
    actions: Actions
    profiles: Mapping[str, Actions]
    floors: Mapping[str, Actions]
    """By regime: what it wants at least."""


def actions(profile: str, regimes: Iterable[str] = (), asked: Actions | None = None) -> Actions:
    """What to do with each kind in an export of a profile: as asked, and never less than a regime wants.

    `switch` reports whatever is asked. Raises UnknownRegime.
    """
    known = built_in()
    of_profile = known.profiles.get(profile)
    chosen = dict(of_profile or {**known.actions, **(asked or {})})
    for regime in applying(regimes, profile):
        for kind, least in known.floors.get(regime.name, {}).items():
            chosen[kind] = max(chosen[kind], least, key=STRICTNESS.index)
    return chosen


def asked_actions(text: str) -> Actions:
    """Of the setting, `canary=mask,id-number=report`. Raises ValueError."""
    pairs = [one.partition("=") for one in listed(text)]
    return {Kind(kind.strip()): Action(action.strip()) for kind, _, action in pairs}


def checked_actions(text: str) -> str:
    """The text, where it can be read. Raises ValueError."""
    try:
        asked_actions(text)
    except ValueError:
        kinds, does = ", ".join(Kind), ", ".join(Action)
        raise ValueError(f"needs KIND=ACTION, commas between; kinds are {kinds}; actions are {does}") from None
    return text


def listed(text: str) -> list[str]:
    """What stands between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def canary_rule(planted: Iterable[str]) -> Rule:
    """The rule for planted values, with the texts of this deployment beside its own."""
    rule = next(rule for rule in built_in().rules if rule.kind is Kind.CANARY)
    literals = (*rule.literals, *planted)
    pattern = "|".join(rf"{re.escape(text)}[\w-]*" for text in literals)
    return replace(rule, literals=literals, pattern=re.compile(pattern))


@cache
def built_in() -> Ruleset:
    """The rules that come with this software."""
    return parse(files("portability").joinpath("scan.toml").read_text("utf-8"))


def parse(text: str) -> Ruleset:
    """Rules of a TOML document. Raises BadInput."""
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
        raise BadInput(f"the rules of the scan cannot be read: {type(error).__name__}: {error}") from None


def _rule(table: Mapping[str, Any]) -> Rule:
    pattern = table.get("pattern")
    return Rule(
        id=table["id"],
        kind=Kind(table["kind"]),
        title=table["title"],
        literals=tuple(table.get("literals", ())),
        pattern=None if pattern is None else re.compile(pattern),
    )


def _brand(table: Mapping[str, Any]) -> Brand:
    ranges = [prefix.partition("-") for prefix in table["prefixes"]]
    return Brand(table["brand"], tuple((low, high or low) for low, _, high in ranges), frozenset(table["digits"]))


def _actions(table: Mapping[str, str]) -> Actions:
    return {Kind(kind): Action(action) for kind, action in table.items()}
