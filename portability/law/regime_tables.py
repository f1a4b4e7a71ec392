"""Reads regimes from TOML: each table is checked completely, and an error names its table (docs/regimes.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.law.countries import COUNTRIES
from portability.law.profiles import Profile
from portability.law.regime import EXTENSION, LONGEST, ExtensionGround, PauseReason, Period, Regime
from portability.law.rights import LegalRight, RightCode
from portability.locale import SOURCE

Tables = Mapping[str, Mapping[str, Any]]
_POLICY_KEYS = frozenset({"period", "extended_period", "subject_kinds", "countries", "tenants"})
"""What a deployment may change of a built-in regime: figures that the law does not state, and to whom it applies."""
_SETS: Mapping[str, Mapping[str, Any]] = {
    "profiles": {str(profile): str(profile) for profile in Profile},
    "extension_grounds": {str(ground): ground for ground in ExtensionGround},
    "pauses": {str(reason): reason for reason in PauseReason},
    "subject_kinds": {str(kind): str(kind) for kind in SubjectKind},
    "countries": {code: code for code in COUNTRIES},
}
"""The values that a key may have."""
_FREE_SETS = frozenset({"tenants", "no_figure_for"})
_PERIODS = frozenset({"period", "extended_period", "notice", "retrieval"})
_TYPES = {
    "title": str,
    "law": str,
    "source": str,
    "checked": str,
    "log_months": int,
    "extension_working_days": int,
    "customer_extension": bool,
    "ends_on_a_working_day": bool,
}
_RANGES = {"log_months": (1, LONGEST["months"]), "extension_working_days": (0, 1000)}
"""The least and the greatest value of a number."""
RIGHTS = "rights"
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OPTIONAL = frozenset(field.name for field in fields(Regime) if field.default is not MISSING)


def tables_of(text: str) -> Tables:
    """Return the tables of a TOML document, by name. Raises BadInput for another document."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"invalid TOML: {error}") from None
    document.pop("version", None)
    if unexpected := sorted(name for name, value in document.items() if not isinstance(value, dict)):
        raise BadInput(f"{', '.join(unexpected)} is not in a table", hint="each regime is a table: [name]")
    return document


def parse(text: str) -> Mapping[str, Regime]:
    """Read the regimes of a TOML document, by name. Raises BadInput, which names the table."""
    return {name: _regime(name, table, is_own=False) for name, table in tables_of(text).items()}


def parse_own(text: str, built_in: Tables) -> Mapping[str, Regime]:
    """Read the regimes of a deployment, by name: its own, and the built-in regimes of which it changes figures.

    Args:
        text: the TOML document of the deployment.
        built_in: the tables of the built-in regimes.

    Raises: BadInput, which names the table.
    """
    found = {}
    for name, table in tables_of(text).items():
        whole = _changed(name, built_in[name], table) if name in built_in else table
        found[name] = _regime(name, whole, is_own=True)
    return found


def _changed(name: str, table: Mapping[str, Any], change: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the table of a built-in regime with a deployment's changes. Raises BadInput for another change."""
    regime = _regime(name, table, is_own=False)
    another = "describe it in a table with another name"
    if unexpected := sorted(set(change) - _POLICY_KEYS):
        raise BadInput(f"[{name}]: {', '.join(unexpected)} of a built-in regime cannot be changed", hint=another)
    if "period" in change and not regime.profiles <= regime.no_figure_for:
        raise BadInput(f"[{name}]: the law states the period, so it cannot be changed", hint=another)
    if "extended_period" in change and EXTENSION not in regime.no_figure_for:
        raise BadInput(f"[{name}]: the law states the extended period or has none, so it cannot be changed")
    return {**table, **change}


def _regime(name: str, table: Mapping[str, Any], *, is_own: bool) -> Regime:
    try:
        return _checked(name, table, is_own=is_own)
    except BadInput as error:
        raise BadInput(f"[{name}]: {error}", hint=error.hint) from None


def _checked(name: str, table: Mapping[str, Any], *, is_own: bool) -> Regime:
    known = {*_SETS, *_FREE_SETS, *_PERIODS, *_TYPES, RIGHTS}
    if unexpected := sorted(set(table) - known):
        raise BadInput(f"unknown key {', '.join(unexpected)}", hint=f"known keys: {', '.join(sorted(known))}")
    if missing := sorted(known - _OPTIONAL - set(table)):
        raise BadInput(f"{', '.join(missing)} is missing")
    values: dict[str, Any] = {key: _value(key, value) for key, value in table.items()}
    return Regime(name=name, is_own=is_own, **values)


def _value(key: str, value: object) -> object:
    """Return the checked value of a key. Raises BadInput."""
    if key == RIGHTS:
        return _rights(value)
    if key in _PERIODS:
        if not isinstance(value, dict) or set(value) - {"months", "days", "hours"}:
            raise BadInput(f"{key} needs exactly one of months, days and hours")
        return Period(**value)
    if key in _TYPES:
        if type(value) is not _TYPES[key]:
            raise BadInput(f"{key} needs a value of type {_TYPES[key].__name__}")
        return _in_range(key, value)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadInput(f"{key} needs a list of texts")
    if key in _FREE_SETS:
        return frozenset(value)
    possible = _SETS[key]
    if unknown := sorted(set(value) - set(possible)):
        shown = f"possible: {', '.join(sorted(possible))}" if key != "countries" else "use codes of ISO 3166-1"
        raise BadInput(f"{key} contains {', '.join(unknown)}", hint=shown)
    return frozenset(possible[name] for name in value)


def _in_range(key: str, value: Any) -> object:  # noqa: ANN401  # of the type of the key
    """Return the value of a key, if it is a number in its range. Raises BadInput."""
    least, most = _RANGES.get(key, (value, value))
    if least <= value <= most:
        return value
    raise BadInput(f"{key} must be from {least} to {most}")


def _rights(value: object) -> tuple[LegalRight, ...]:
    """Return the rights of a table such as `access = "Art. 15"`. Raises BadInput."""
    if not isinstance(value, dict):
        raise BadInput('rights needs a table of articles, such as access = "Art. 15"')
    return tuple(_right(code, entry) for code, entry in value.items())


def _right(code: str, entry: object) -> LegalRight:
    """Return a right: an article, or the article with a title of the deployment's own. Raises BadInput."""
    about: dict[str, object] = dict(entry) if isinstance(entry, dict) else {"article": entry}
    article, title = about.pop("article", None), about.pop("title", None)
    if about or not isinstance(article, str) or not article or not _CODE.fullmatch(code):
        raise BadInput(f'rights.{code} needs an article, such as "Art. 15", and may have a title')
    titled = sorted(RightCode)
    if not title and code not in titled:
        raise BadInput(f"rights.{code} needs a title", hint=f"these have one already: {', '.join(titled)}")
    titles = {SOURCE: title} if isinstance(title, str) else title or {}
    if not isinstance(titles, dict) or (titles and SOURCE not in titles):
        raise BadInput(f"rights.{code}.title needs a text, or a text for each language, also for {SOURCE}")
    if not all(isinstance(text, str) and text for text in titles.values()):
        raise BadInput(f"rights.{code}.title needs texts")
    return LegalRight(code, article, titles)
