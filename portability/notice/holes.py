"""Holes of a notice register: which rule is broken, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from portability.notice.entries import LANGUAGES, BasisKind, Register

PLACEHOLDERS = frozenset({"contact"})


class Rule(StrEnum):
    """What a register must be; docs/notice.md tells each."""

    UNREADABLE = "unreadable"
    TWICE = "twice"
    UNKNOWN_KEY = "unknown_key"
    MISSING_VALUE = "missing_value"
    MISSING_TEXT = "missing_text"
    BAD_VALUE = "bad_value"
    UNKNOWN_REFERENCE = "unknown_reference"
    MISSING_ENTRY = "missing_entry"
    MISSING_SAFEGUARD = "missing_safeguard"
    MISSING_INTEREST = "missing_interest"
    MISSING_LOGIC = "missing_logic"
    BAD_PLACEHOLDER = "bad_placeholder"


@dataclass(frozen=True, slots=True)
class Hole:
    """One thing that is wrong."""

    rule: Rule
    where: str
    """The table or value, as TOML writes it."""
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}: {self.detail}"

    @classmethod
    def of(cls, fault: Mapping[str, Any]) -> Hole:
        """What pydantic found. A missing or empty value in one language is a text that is missing there."""
        place = tuple(map(str, fault["loc"]))
        where = ".".join(f'"{one}"' if re.search(r"[^\w-]", one) else one for one in place)
        empty = fault["type"] in {"missing", "string_too_short"}
        if fault["type"] == "extra_forbidden":
            return cls(Rule.UNKNOWN_KEY, where, "there is no such value")
        if empty and place[-1] in LANGUAGES:
            return cls(Rule.MISSING_TEXT, where, "every text is in English (en) and Indonesian (id)")
        if empty or fault["type"] == "too_short":
            return cls(Rule.MISSING_VALUE, where, "it is needed")
        return cls(Rule.BAD_VALUE, where, str(fault["msg"]))


def holes_in(register: Register) -> Iterator[Hole]:
    """What the shapes alone do not tell: references, safeguards, interests, placeholders."""
    yield from _strays(register)
    for name, recipient in register.recipients.items():
        if recipient.country != register.controller.country and recipient.safeguard is None:
            yield Hole(Rule.MISSING_SAFEGUARD, f"recipients.{name}", f"data leaves for {recipient.country} without one")
    for name, basis in register.bases.items():
        if basis.kind is BasisKind.LEGITIMATE_INTERESTS and basis.interest is None:
            yield Hole(
                Rule.MISSING_INTEREST, f"bases.{name}", "whose and which interests are legitimate has to be said"
            )
    for name, right in register.rights.items():
        for language in LANGUAGES:
            strange = set(re.findall(r"\{([^}]*)\}?", getattr(right.how, language))) - PLACEHOLDERS
            if strange:
                yield Hole(Rule.BAD_PLACEHOLDER, f"rights.{name}.how.{language}", "only {contact} is filled in")


def _strays(register: Register) -> Iterator[Hole]:
    for where, kind, names in _references(register):
        known = getattr(register, kind)
        for name in dict.fromkeys(names):
            if name not in known:
                yield Hole(Rule.UNKNOWN_REFERENCE, where, f"{name!r} is none of the {kind}")


def _references(register: Register) -> Iterator[tuple[str, str, Iterable[str]]]:
    for name, one in register.datasets.items():
        where = f'datasets."{name}"'
        yield f"{where}.category", "categories", [one.category]
        yield f"{where}.purposes", "purposes", one.purposes
        yield f"{where}.purposes", "bases", one.purposes.values()
        yield f"{where}.recipients", "recipients", one.recipients
        yield f"{where}.retention", "retention", [one.retention]
        yield f"{where}.sources", "sources", one.sources
        yield f"{where}.decisions", "decisions", one.decisions
    parties = {f"recipients.{name}": one.safeguard for name, one in register.recipients.items()}
    for where, safeguard in {"controller": register.controller.safeguard, **parties}.items():
        yield f"{where}.safeguard", "safeguards", [] if safeguard is None else [safeguard]
