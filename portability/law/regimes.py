"""Regimes: laws with a deadline for requests, as data. The built-in file, and the file of the deployment.

A deployment selects regimes by name (PORTABILITY_REGIMES) and describes its own in a file (PORTABILITY_REGIMES_FILE).
docs/regimes.md describes the keys of a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from portability.api.errors import BadInput
from portability.errors import UnknownRegime
from portability.law.profiles import Profile
from portability.law.regime import LOG_MONTHS, Regime, SubjectFacts
from portability.law.regime_tables import parse, parse_own, tables_of

DEFAULT_REGIMES = ("gdpr", "uu_pdp", "data_act")
"""The regimes of the platform's privacy policy: Europe, Indonesia, and companies that switch."""
Law: TypeAlias = str | Regime
"""A regime, or the name of a built-in regime."""


def applying(laws: Iterable[Law], profile: str, subject: SubjectFacts | None = None) -> list[Regime]:
    """Return those of the deployment's regimes that have a deadline for this profile and subject. Raises UnknownRegime.

    If the conditions exclude every regime of the profile, all of them apply: no request is without a deadline.
    """
    of_profile = [regime for regime in map(resolved, laws) if profile in regime.profiles]
    if subject is None:
        return of_profile
    return [regime for regime in of_profile if regime.covers(subject)] or of_profile


def giving_rights(laws: Iterable[Law], profile: str, subject: SubjectFacts) -> list[Regime]:
    """Return those of the deployment's regimes that give rights to this subject. Raises UnknownRegime.

    A law gives rights to people whichever copy they ask for; a law for companies that switch gives them to companies.
    If the conditions exclude every regime, the rights of all of them count: no notice is without rights.
    """
    kinds = {Profile.SWITCH} if profile == Profile.SWITCH else {*Profile} - {Profile.SWITCH}
    known = [regime for regime in map(resolved, laws) if regime.rights and regime.profiles & kinds]
    return [regime for regime in known if regime.covers(subject)] or known


def log_months(laws: Iterable[Law]) -> int:
    """Return how many months the strictest regime requires request records to be kept. Raises UnknownRegime."""
    return max((resolved(law).log_months for law in laws), default=LOG_MONTHS)


def profiles_without(laws: Iterable[Law]) -> Sequence[str]:
    """Return the profiles for which none of these regimes has a deadline. Raises UnknownRegime."""
    covered = {profile for law in laws for profile in resolved(law).profiles}
    return sorted({*Profile} - covered)


def resolved(law: Law) -> Regime:
    """Return the regime itself. Raises UnknownRegime."""
    return named(law) if isinstance(law, str) else law


def named(name: str, known: Mapping[str, Regime] | None = None) -> Regime:
    """Return the regime with a name, among the built-in regimes if no others are given. Raises UnknownRegime."""
    known = built_in() if known is None else known
    if name not in known:
        raise UnknownRegime(f"unknown regime {name!r}", hint=f"known regimes: {', '.join(sorted(known))}")
    return known[name]


@cache
def built_in() -> Mapping[str, Regime]:
    """Return the regimes of this software, by name."""
    return parse(_document())


@cache
def known_with(path: Path | None) -> Mapping[str, Regime]:
    """Return the built-in regimes and those of a deployment's file, by name.

    Raises: BadInput with one line that names the file and the table.
    """
    if path is None:
        return built_in()
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot read the file: {type(error).__name__}") from None
    try:
        return {**built_in(), **parse_own(text, tables_of(_document()))}
    except BadInput as error:
        raise BadInput(f"{path}: {error}", hint=error.hint) from None


def _document() -> str:
    return files("portability.law").joinpath("regimes.toml").read_text("utf-8")
