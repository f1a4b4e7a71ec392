"""Reads expected.toml and known_gaps.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
ARCHIVE, NOT_FOUND = "archive", "not_found"


@dataclass(frozen=True, slots=True)
class ExpectedPerson:
    """What one person must get; the keys are those of expected.toml."""

    who: str
    topic: str
    subject: str
    tenant: str | None = None
    profile: str = "access"
    include: str | None = None
    answer: str = ARCHIVE
    own: str | None = None
    processor: str | None = None
    complete: bool | None = None
    exit_code: int | None = None
    contains_first_export: bool = False
    states: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    gaps: Sequence[Sequence[str]] = ()
    gaps_sqlite: Sequence[Sequence[str]] = ()
    gaps_postgresql: Sequence[Sequence[str]] = ()
    withheld: Sequence[str] = ()
    not_withheld: Sequence[str] = ()
    contains: Sequence[str] = ()
    absent: Sequence[str] = ()
    delivered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    not_delivered: Mapping[str, str] = field(default_factory=dict)

    def gaps_on(self, database: str) -> Sequence[Sequence[str]]:
        """Return the gaps that this database must lead to."""
        return [*self.gaps, *(self.gaps_sqlite if database == "sqlite" else self.gaps_postgresql)]


@dataclass(frozen=True, slots=True)
class ExpectedSwitch:
    """What a company that switches must get: numbers of rows by dataset, and texts.

    `unrelated` is the number of rows that lead to no person.
    """

    who: str
    topic: str
    tenant: str
    rows: Mapping[str, int]
    complete: bool
    never: Sequence[str] = ()
    """Ids that no archive has, for the reason that a comment of expected.toml gives."""
    missing_files: Sequence[str] = ()
    gaps: Sequence[Sequence[str]] = ()
    unrelated: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    contains: Sequence[str] = ()
    absent: Sequence[str] = ()


_EXPECTED = tomllib.loads((FOLDER / "expected.toml").read_text())
REASONS = frozenset(_EXPECTED["reasons"])
ROWS_OF_NO_PERSON: Mapping[str, str] = _EXPECTED["rows_of_no_person"]
PEOPLE: Mapping[str, ExpectedPerson] = {name: ExpectedPerson(**keys) for name, keys in _EXPECTED["people"].items()}
SWITCHES: Mapping[str, ExpectedSwitch] = {name: ExpectedSwitch(**keys) for name, keys in _EXPECTED["switches"].items()}
KNOWN_GAPS: Mapping[str, str] = tomllib.loads((FOLDER / "known_gaps.toml").read_text())["known_gaps"]
"""By person and check, `double.rows` or `badprice.gaps@sqlite`: what is not built yet."""


def known_gap(name: str, check: str, database: str) -> str | None:
    """Return what will make this check pass, or None if it must pass today."""
    keys = (f"{name}.{check}", f"{name}.{check}@{database}")
    return next((KNOWN_GAPS[key] for key in keys if key in KNOWN_GAPS), None)
