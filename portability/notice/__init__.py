"""The notice register: purposes, legal bases, recipients, retention and rights of each dataset, as data.

The TOML files beside this module are one register; a deployment's own folder (`PORTABILITY_NOTICE_DIR`) replaces or
adds tables. A register with a hole is refused, by the rule that it breaks: docs/notice.md lists the rules.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from portability.api import Dataset, Exporter, Provenance
from portability.errors import BadSetting
from portability.notice.entries import (
    LANGUAGES,
    PORTABLE,
    PREFIXES,
    BasisKind,
    DatasetEntry,
    Register,
    Right,
    Text,
    iri,
)
from portability.notice.holes import Hole, Rule, holes_in

__all__ = [
    "LANGUAGES",
    "PORTABLE",
    "PREFIXES",
    "BasisKind",
    "DatasetEntry",
    "Hole",
    "NoticeHole",
    "Register",
    "Right",
    "Rule",
    "Text",
    "check",
    "iri",
    "load",
    "undescribed",
]

BUILT_IN = Path(__file__).parent
TOLD_MAX = 20
"""A register without one of its files has hundreds of holes: these are enough to find it."""


class NoticeHole(BadSetting):
    """The notice register lacks something, or names something that is not in it."""

    code = "notice_hole"
    default_hint = "see docs/notice.md"


@cache
def load(folder: Path | None = None) -> Register:
    """The register, with the tables of a deployment's own folder in place of ours. Raises NoticeHole."""
    tables, faults = _tables(BUILT_IN)
    if folder is not None:
        theirs, more = _tables(folder)
        faults += more
        if theirs and "version" not in theirs:
            faults.append(Hole(Rule.MISSING_VALUE, "version", "a register of your own has a version of its own"))
        tables = _replaced(tables, theirs)
    if not faults:
        try:
            register = Register.model_validate(tables)
        except ValidationError as error:
            faults += [Hole.of(fault) for fault in error.errors()]
        else:
            faults += holes_in(register)
    _refuse(faults)
    return register


def check(register: Register, exporters: Mapping[str, Exporter]) -> None:
    """Each dataset of the installed exporters has its entry. Raises NoticeHole."""
    _refuse(list(undescribed(register, exporters)))


def undescribed(register: Register, exporters: Mapping[str, Exporter]) -> Iterator[Hole]:
    """What the register does not say of these exporters' datasets."""
    for name, exporter in exporters.items():
        for dataset in exporter.datasets:
            where, entry = f'datasets."{name}/{dataset.name}"', register.entry(name, dataset.name)
            if entry is None:
                yield Hole(Rule.MISSING_ENTRY, where, "an exporter is installed that offers this dataset")
            elif _is_derived(dataset) and not entry.decisions:
                yield Hole(Rule.MISSING_LOGIC, where, "it holds what software derives, and names no decision")


def _is_derived(dataset: Dataset) -> bool:
    return Provenance.DERIVED in {dataset.provenance, *(field.provenance for field in dataset.fields)}


def _refuse(faults: list[Hole]) -> None:
    if faults:
        told = "; ".join(str(fault) for fault in faults[:TOLD_MAX])
        more = f"; and {len(faults) - TOLD_MAX} more" if len(faults) > TOLD_MAX else ""
        raise NoticeHole(f"the notice register has holes: {told}{more}")


def _tables(folder: Path) -> tuple[dict[str, Any], list[Hole]]:
    """All files of a folder as one document."""
    found: dict[str, Any] = {}
    faults: list[Hole] = []
    try:
        texts = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.toml"))}
    except (OSError, UnicodeDecodeError) as error:
        return found, [Hole(Rule.UNREADABLE, folder.name, type(error).__name__)]
    if not texts:
        faults.append(Hole(Rule.UNREADABLE, folder.name, "there is no such folder, or no *.toml in it"))
    for name, text in texts.items():
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            faults.append(Hole(Rule.UNREADABLE, name, str(error)))
            continue
        for key, value in document.items():
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            twice = [f"{key}.{one}" for one in value if one in found[key]] if both else [key] if key in found else []
            faults += [
                Hole(Rule.TWICE, one, f"{name} has it, and another file of the folder has it, too") for one in twice
            ]
            found[key] = {**found[key], **value} if both else value
    return found, faults


def _replaced(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Whole tables are replaced, such as one recipient; of `controller` and `switching` single values, too."""
    merged = dict(ours)
    for key, value in theirs.items():
        known = merged.get(key)
        merged[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
