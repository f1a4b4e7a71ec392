"""Checks of what an exporter declares: its members, datasets and fields."""

from __future__ import annotations

import inspect
import re

from portability.api import CheckingExporter, Dataset, Exporter, Field, FieldType, SubjectKind
from portability.api.tags import REDACTABLE
from portability.testing.reading import require

SHA256 = re.compile(r"[0-9a-f]{64}")
SLUG = re.compile(r"[a-z0-9_-]+")
"""Names of what is withheld: catalogues have them in their codes."""


def check_shape(exporter: object) -> None:
    """Check that it has the members of the protocol, and that its datasets are well declared. Raises AssertionError."""
    if not isinstance(exporter, Exporter):
        raise AssertionError(f"{type(exporter).__name__} lacks a member of the protocol Exporter")  # noqa: TRY004  # part of the contract
    require(
        inspect.isgeneratorfunction(exporter.export),
        "export() is not a generator function",
        "write it with `yield`, and do not return a list",
    )
    kinds = exporter.subject_kinds
    require(
        len(kinds) > 0 and kinds <= frozenset(SubjectKind),
        "subject_kinds must be a set of one or more SubjectKind",
        "return, for example, frozenset({SubjectKind.USER})",
    )
    require(
        list(exporter.datasets) == list(exporter.datasets),
        "datasets differ between two reads",
        "make them once, when the exporter is made",
    )
    names = [dataset.name for dataset in exporter.datasets]
    require(
        0 < len(names) == len(set(names)),
        "there is no dataset, or two have the same name",
        "declare one or more datasets with names of their own",
    )
    for dataset in exporter.datasets:
        _check_dataset(exporter, dataset)


def check_coverage(exporter: CheckingExporter) -> None:
    """Check that it names what it declares by a hash, and that its findings are about its datasets.

    Raises: AssertionError; SourceUnavailable, SourceRefused as the exporter's own check does.
    """
    require(
        SHA256.fullmatch(exporter.declaration.sha256) is not None,
        "declaration.sha256 is not a SHA-256 in lower-case hexadecimal",
        "give the hash of what you declare: a check counts for this declaration only",
    )
    named = {finding.dataset for finding in exporter.check().findings}
    require(
        named <= {"", *(dataset.name for dataset in exporter.datasets)},
        "check() names a dataset that the exporter does not have",
        "leave `dataset` empty for what no dataset reads",
    )


def _check_dataset(exporter: Exporter, dataset: Dataset) -> None:
    name, fields = dataset.name, [field.name for field in dataset.fields]
    require(
        0 < len(fields) == len(set(fields)),
        f"{name} has no fields, or a field twice",
        "declare each column that people get once",
    )
    require(
        bool(dataset.key) and set(dataset.key) <= set(fields),
        f"{name}: its key is not among its fields",
        "name one or more declared fields that identify a record permanently",
    )
    require(
        bool(dataset.title and dataset.description),
        f"{name} has no title or no description",
        "write both for the person whose data it is",
    )
    require(
        (dataset.subject_kinds or frozenset()) <= exporter.subject_kinds,
        f"{name} has subject kinds that its exporter does not have",
        "add them to subject_kinds of the exporter",
    )
    withheld = [one.name for one in dataset.withheld]
    require(
        len(set(withheld)) == len(withheld), f"{name}: two withheld things have the same name", "rename one of them"
    )
    require(
        all(map(SLUG.fullmatch, withheld)),
        f"{name}: the name of a withheld thing must be like `password_hash`",
        "use a-z 0-9 _ -",
    )
    for field in dataset.fields:
        _check_field(dataset, field)


def _check_field(dataset: Dataset, field: Field) -> None:
    name = f"{dataset.name}/{field.name}"
    require(bool(field.description.strip()), f"{name} has no description", "explain the value in a full sentence")
    has_person = field.person is not None
    require(
        not has_person or field.type in REDACTABLE,
        f"{name}: only texts and objects may have a `person`",
        "remove the tag, or declare the field as a text",
    )
    require(
        not has_person or field.name not in dataset.key,
        f"{name}: a key must not have a `person`",
        "choose a key that names no person",
    )
    is_nested = field.type is FieldType.OBJECT and all(key.path.startswith("/") for key in field.keys or ())
    require(
        field.keys is None or is_nested,
        f"{name}: only an object has `keys`, with paths like `/a/b`",
        "begin each path with `/`, and declare the type OBJECT",
    )
