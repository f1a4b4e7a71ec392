"""Faults of a notice register: which rule is broken, and where."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from portability.law.notice.entries import MISSING_TEXT, BasisKind, Register, Text

PLACEHOLDERS = frozenset({"contact"})
"""What the text of a right may name."""
ANSWER_PLACEHOLDERS = PLACEHOLDERS | {"controller", "due_at", "received_at", "reference"}
"""What the text of an answer may name."""


class RegisterRule(StrEnum):
    """The rules of a register; docs/notice.md explains each."""

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
    MADE_UP = "made_up"


@dataclass(frozen=True, slots=True)
class RegisterFault:
    """A fault of a register."""

    rule: RegisterRule
    where: str
    """The table or value, as TOML writes it."""
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}: {self.detail}"

    @classmethod
    def of(cls, fault: Mapping[str, Any]) -> RegisterFault:
        """Make it of an error that pydantic found."""
        place = tuple(map(str, fault["loc"]))
        where = ".".join(f'"{one}"' if re.search(r"[^\w-]", one) else one for one in place)
        empty = fault["type"] in {"missing", "string_too_short"}
        if fault["type"] == "extra_forbidden":
            return cls(
                RegisterRule.UNKNOWN_KEY, where, "the register has no value of this name: remove it or correct its name"
            )
        if fault["type"] == MISSING_TEXT:
            return cls(RegisterRule.MISSING_TEXT, where, str(fault["msg"]))
        if empty or fault["type"] == "too_short":
            return cls(RegisterRule.MISSING_VALUE, where, "this value is needed")
        return cls(RegisterRule.BAD_VALUE, where, str(fault["msg"]))


def faults_in(register: Register) -> Iterator[RegisterFault]:
    """Yield faults that the shapes alone do not show: references, safeguards, interests, placeholders."""
    yield from _strays(register)
    for name, recipient in register.recipients.items():
        if recipient.country != register.controller.country and recipient.safeguard is None:
            yield RegisterFault(
                RegisterRule.MISSING_SAFEGUARD,
                f"recipients.{name}",
                f"data goes to {recipient.country} without a safeguard: name one",
            )
    for name, basis in register.bases.items():
        if basis.kind is BasisKind.LEGITIMATE_INTERESTS and basis.interest is None:
            yield RegisterFault(
                RegisterRule.MISSING_INTEREST,
                f"bases.{name}",
                "a basis of this kind needs `interest`: whose and which interests",
            )
    for name, right in register.rights.items():
        yield from _placeholders(f"rights.{name}.how", right.how, PLACEHOLDERS)
    for name, answer in register.answers.items():
        yield from _placeholders(f"answers.{name}.text", answer.text, ANSWER_PLACEHOLDERS)


def _placeholders(where: str, text: Text, known: Collection[str]) -> Iterator[RegisterFault]:
    """Yield the languages of a text that name something that is not filled in."""
    allowed = ", ".join(f"{{{name}}}" for name in sorted(known))
    for language, sentence in text.root.items():
        if set(re.findall(r"\{([^}]*)\}?", sentence)) - {*known}:
            yield RegisterFault(RegisterRule.BAD_PLACEHOLDER, f"{where}.{language}", f"only {allowed} can be filled in")


def _strays(register: Register) -> Iterator[RegisterFault]:
    for where, kind, names in _references(register):
        known = getattr(register, kind)
        for name in dict.fromkeys(names):
            if name not in known:
                yield RegisterFault(RegisterRule.UNKNOWN_REFERENCE, where, f"{name!r} is not defined in {kind}")


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
