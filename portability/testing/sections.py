"""Sections of a file of sources in tests: opened as the host does, and checks of a kind of source."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from portability.api import DeclaringExporter, Exporter, SourceDeclaration, SourceKind, Sources
from portability.api.errors import BadInput, BadSetting
from portability.testing.declarations import check_shape
from portability.testing.reading import require

SOURCE_KINDS = "portability.source_kinds"
UNKNOWN_KEY = "unknown_key_of_a_test"
PLAIN_SECRET = "plain-secret-of-a-test"  # noqa: S105  # the value that must be refused


def declared_section(path: Path, name: str) -> SourceDeclaration:
    """Read a section of a file of sources. Raises OSError, TOMLDecodeError; KeyError if there is no such section."""
    section = dict(tomllib.loads(path.read_text("utf-8"))[name])
    trusts = section.pop("trusts", None)
    return SourceDeclaration(name, section.pop("kind"), section, path.parent, None if trusts is None else tuple(trusts))


def open_section(path: Path, name: str, sources: Sources) -> Exporter:
    """Open a section of a file of sources with the installed kind that it names.

    Raises: BadSetting, BadMap, and what the kind raises.
    """
    declared = declared_section(path, name)
    (kind,) = entry_points(group=SOURCE_KINDS, name=declared.kind)
    exporter: Exporter = kind.load()(declared, sources)
    return exporter


def check_source_kind(
    kind: SourceKind, declared: SourceDeclaration, sources: Sources, *, secrets: Sequence[str] = ()
) -> None:
    """Check that a kind of source fulfils the contract of `portability.api.SourceKind`.

    Check the data that its exporters give with `check_exporter` and `check_faults`.

    Args:
        kind: the function that the entry point names.
        declared: a valid section.
        sources: what the host gives.
        secrets: keys of the section whose values are references to secrets.

    Raises:
        AssertionError: with the rule that is broken, and how to mend it.
    """
    exporter = kind(declared, sources)
    check_shape(exporter)
    require(
        isinstance(exporter, DeclaringExporter),
        "its exporters do not declare by which identities they select",
        "give them `identity_use`: without it, a fault of any source makes their datasets partial",
    )
    names = [dataset.name for dataset in kind(replace(declared, name=f"{declared.name}2"), sources).datasets]
    require(
        names == [dataset.name for dataset in exporter.datasets],
        "a section with another name has other datasets",
        "do not use the section's name for datasets: two sections may declare the same system twice",
    )
    refusal = _refusal(kind, replace(declared, keys={**declared.keys, UNKNOWN_KEY: "x"}), sources)
    require(
        isinstance(refusal, BadSetting) and UNKNOWN_KEY in str(refusal),
        "an unknown key of the section is accepted",
        "raise BadSetting with its name: it may be a setting with a mistake in it",
    )
    for key in secrets:
        _check_secret(kind, declared, sources, key)


def _check_secret(kind: SourceKind, declared: SourceDeclaration, sources: Sources, key: str) -> None:
    for value, fault in (
        (PLAIN_SECRET, "a secret in plain text"),
        ("env:MISSING_IN_TESTS", "a variable that is unset"),
    ):
        refusal = _refusal(kind, replace(declared, keys={**declared.keys, key: value}), sources)
        require(
            isinstance(refusal, BadSetting) and key in str(refusal),
            f"{key}: {fault} is accepted",
            "read it with portability.api.references.resolve, which raises BadSetting with the name of the key",
        )
        require(
            PLAIN_SECRET not in f"{refusal} {getattr(refusal, 'hint', '')}",
            f"{key}: the error repeats the value",
            "name the key only",
        )


def _refusal(kind: SourceKind, declared: SourceDeclaration, sources: Sources) -> BadInput | None:
    """Return how a section is refused; None: it is accepted."""
    try:
        kind(declared, sources)
    except BadInput as refusal:
        return refusal
    return None
