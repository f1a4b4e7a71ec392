"""The notice register: purposes, legal bases, recipients, retention and rights of each dataset, as data.

The TOML files beside this module are one register; a deployment's own folder (`PORTABILITY_NOTICE_DIR`) replaces or
adds tables. A register that breaks a rule is refused with the name of the rule: docs/notice.md lists the rules.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from portability.api import Dataset, Exporter, Person, Provenance
from portability.api.errors import BadSetting
from portability.law.notice.entries import (
    PORTABLE,
    PREFIXES,
    AnswerText,
    AnswerUse,
    BasisKind,
    DatasetEntry,
    Register,
    Right,
    Text,
    iri,
)
from portability.law.notice.validation import RegisterFault, RegisterRule, faults_in
from portability.law.regime import Regime
from portability.law.regimes import built_in
from portability.locale import SOURCE, translations

__all__ = [
    "PORTABLE",
    "PREFIXES",
    "AnswerText",
    "AnswerUse",
    "BasisKind",
    "DatasetEntry",
    "NoticeHole",
    "Register",
    "RegisterFault",
    "RegisterRule",
    "Right",
    "Text",
    "check",
    "iri",
    "load",
    "undescribed",
]

DOMAIN = "notice"
ANSWERS = "answers"
"""The table of texts for usual answers."""
"""The catalogue that translates the built-in tables."""
BUILT_IN = Path(__file__).parent
FAULTS_MAX = 20
"""Number of faults that a message names: a register without one of its files has hundreds."""

MADE_UP = RegisterFault(
    RegisterRule.MADE_UP,
    "controller.name",
    "it is made up for the demonstration; write a [controller] of your own into the folder PORTABILITY_NOTICE_DIR",
)


class NoticeHole(BadSetting):
    """The notice register lacks something, or names something that it does not define."""

    code = "notice_hole"
    default_hint = "see docs/notice.md"


@cache
def load(folder: Path | None = None, *, reference: bool = True) -> Register:
    """Load the register of a deployment: the tables of its own folder replace those of the reference platform, if any.

    Raises: NoticeHole.
    """
    if folder is None and not reference:
        raise NoticeHole(
            "there is no notice register: the built-in tables describe the reference platform alone",
            hint="PORTABILITY_NOTICE_DIR names a folder with yours: see docs/notice.md",
        )
    tables, faults = _tables(BUILT_IN)
    if not reference:  # what the reference platform does is not known here; the texts for answers fit any platform
        tables = {ANSWERS: tables[ANSWERS]}
    tables = _with_translations(tables, DOMAIN)
    if folder is not None:
        custom, more = _tables(folder)
        faults += more
        if custom and "version" not in custom:
            faults.append(
                RegisterFault(RegisterRule.MISSING_VALUE, "version", "your own register needs its own version")
            )
        tables = _replaced(tables, custom)
    if not faults:
        try:
            register = Register.model_validate(tables)
        except ValidationError as error:
            faults += [RegisterFault.of(fault) for fault in error.errors()]
        else:
            faults += faults_in(register)
    _refuse(faults)
    return register


def check(
    register: Register, exporters: Mapping[str, Exporter], *, embedded: bool, laws: Iterable[Regime] = ()
) -> None:
    """Check that each dataset of the installed exporters has an entry, and that the controller is real.

    On the embedded stack the controller may be the made-up one. `laws` are those of the deployment: authorities may
    name these and the built-in regimes. Raises NoticeHole.
    """
    made_up = [] if embedded or register.controller.name != _made_up_controller() else [MADE_UP]
    known = {*built_in(), *(law.name for law in laws)}
    _refuse([*made_up, *undescribed(register, exporters), *_unknown_regimes(register, known)])


def _unknown_regimes(register: Register, known: Collection[str]) -> Iterator[RegisterFault]:
    for name, authority in register.authorities.items():
        for regime in authority.regimes:
            if regime not in known:
                where = f"authorities.{name}.regimes"
                yield RegisterFault(RegisterRule.UNKNOWN_REFERENCE, where, f"{regime!r} is not the name of a regime")


def undescribed(register: Register, exporters: Mapping[str, Exporter]) -> Iterator[RegisterFault]:
    """Yield what the register does not say about these exporters' datasets."""
    for name, exporter in exporters.items():
        for dataset in exporter.datasets:
            where, entry = f'datasets."{name}/{dataset.name}"', register.entry(name, dataset.name)
            if entry is None:
                yield RegisterFault(
                    RegisterRule.MISSING_ENTRY, where, "an installed exporter offers this dataset: add its entry"
                )
            elif _is_derived(dataset) and not entry.decisions:
                yield RegisterFault(
                    RegisterRule.MISSING_LOGIC,
                    where,
                    "it has derived data and names no decision: add one to `decisions`",
                )


@cache
def _made_up_controller() -> Text:
    return load().controller.name


def _is_derived(dataset: Dataset) -> bool:
    """Return whether software derived some of it. Notes of staff are derived too, but not by software."""
    fields = (field.provenance for field in dataset.fields if field.person is not Person.NOTE)
    return Provenance.DERIVED in {dataset.provenance, *fields}


def _refuse(faults: list[RegisterFault]) -> None:
    if faults:
        listed = "; ".join(str(fault) for fault in faults[:FAULTS_MAX])
        more = f"; and {len(faults) - FAULTS_MAX} more" if len(faults) > FAULTS_MAX else ""
        raise NoticeHole(f"the notice register is incomplete or wrong: {listed}{more}")


def _tables(folder: Path) -> tuple[dict[str, Any], list[RegisterFault]]:
    """Read all files of a folder as one document."""
    found: dict[str, Any] = {}
    faults: list[RegisterFault] = []
    try:
        paths = [path for path in folder.iterdir() if path.suffix == ".toml"]
        texts = {path.name: path.read_text("utf-8-sig") for path in sorted(paths)}
    except FileNotFoundError:
        texts = {}
    except (OSError, UnicodeDecodeError) as error:
        return found, [RegisterFault(RegisterRule.UNREADABLE, folder.name, type(error).__name__)]
    if not texts:
        faults.append(
            RegisterFault(RegisterRule.UNREADABLE, folder.name, "the folder does not exist or has no *.toml files")
        )
    for name, text in texts.items():
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            faults.append(RegisterFault(RegisterRule.UNREADABLE, name, str(error)))
            continue
        for key, value in document.items():
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            twice = [f"{key}.{one}" for one in value if one in found[key]] if both else [key] if key in found else []
            faults += [
                RegisterFault(
                    RegisterRule.TWICE, one, f"{name} and another file of the folder both have it: remove one of them"
                )
                for one in twice
            ]
            found[key] = {**found[key], **value} if both else value
    return found, faults


def _with_translations(tables: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Give each text its translations, which the catalogues have by its path: `notice.purposes.provide.title`."""
    return {name: _translated(value, f"{code}.{name}") for name, value in tables.items()}


def _translated(value: Any, code: str) -> Any:  # noqa: ANN401  # a value of TOML
    if isinstance(value, dict):
        return _with_translations(value, code)
    found = translations.by_language(code) if isinstance(value, str) else {}
    return {SOURCE: value, **found} if found else value


def _replaced(built_in: Mapping[str, Any], custom: Mapping[str, Any]) -> dict[str, Any]:
    """Replace whole tables, such as a recipient; of `controller` and `switching` single values, too."""
    merged = dict(built_in)
    for key, value in custom.items():
        known = merged.get(key)
        merged[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
