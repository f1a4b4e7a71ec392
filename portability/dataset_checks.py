"""What an exporter declares of its datasets, checked at the start: whatever no export could store or describe.

Exporters of packages and of maps are both checked here. A fault that were found later would end every export instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from portability.api import (
    Dataset,
    DisclosureFields,
    Field,
    FieldType,
    FieldValue,
    NestedKey,
    Person,
    Provenance,
    Role,
    SubjectKind,
    TitledExporter,
    Withheld,
    WithheldKind,
)
from portability.api.errors import BrokenPlugin
from portability.api.names import BOTH_CHARS, is_text, name_fault, same_names
from portability.api.tags import REDACTABLE


def check_datasets(exporter: str, datasets: Sequence[Any]) -> None:
    """Check that every export can store, read and describe these datasets. Raises BrokenPlugin."""
    if wrong_types := [type(dataset).__name__ for dataset in datasets if not isinstance(dataset, Dataset)]:
        raise BrokenPlugin(f"exporter plug-in {exporter!r} declares a dataset of type {wrong_types[0]}")
    _check_names(exporter, [dataset.name for dataset in datasets])
    for dataset in datasets:
        for check in (_own_faults, _field_faults, _withheld_faults, _column_faults, _person_faults, _disclosure_faults):
            for fault, hint in check(dataset):
                raise BrokenPlugin(f"{exporter}/{dataset.name}: {fault}", hint=hint or None)


def check_title(name: str, exporter: object) -> None:
    """Check that every archive can store an exporter's title, if it has one. Raises BrokenPlugin."""
    if isinstance(exporter, TitledExporter):
        for fault, hint in _text_faults("its title", exporter.title):
            raise BrokenPlugin(f"exporter plug-in {name!r}: {fault}", hint=hint or None)


Faults = Iterator[tuple[str, str]]
"""Each fault with its hint; an empty hint: the error's own."""
NAME_HINT = "a name has a character other than a blank, no NUL, and no lone surrogate"
TEXT_HINT = "a text has a character other than a blank, no NUL, and no lone surrogate"


def _check_names(exporter: str, datasets: Sequence[Any]) -> None:
    """Check that every archive can have files of these names. Raises BrokenPlugin."""
    for name in (exporter, *datasets):
        if not isinstance(name, str):
            raise BrokenPlugin(f"exporter plug-in {exporter!r} declares a dataset whose name is a {_type(name)}")
        if fault := name_fault(name):
            raise BrokenPlugin(f"exporter plug-in {exporter!r}: a name {fault}: {name!r}")
    if same := same_names(datasets):
        raise BrokenPlugin(
            f"exporter plug-in {exporter!r} declares a dataset twice: {same[0]!r} and {same[1]!r}",
            hint="names of datasets differ by more than the case of their letters",
        )
    if too_long := [name for name in datasets if len(exporter) + len(name) > BOTH_CHARS]:
        raise BrokenPlugin(
            f"{exporter}/{too_long[0]}: the two names have more than {BOTH_CHARS} characters together",
            hint="give the source or the dataset a shorter name",
        )


def _type(value: object) -> str:
    return type(value).__name__


def _text_faults(what: str, text: object) -> Faults:
    if not isinstance(text, str):
        yield f"{what} is a {_type(text)}, not a text", ""
    elif not is_text(text):
        yield f"{what} is a text that no archive stores", TEXT_HINT


def _tag_faults(what: str, value: object, tag: type) -> Faults:
    if not isinstance(value, tag):
        yield f"{what} is a {_type(value)}, not a {tag.__name__}", ""


def _own_faults(dataset: Dataset) -> Faults:
    yield from _text_faults("its title", dataset.title)
    yield from _text_faults("its description", dataset.description)
    yield from _tag_faults("its provenance", dataset.provenance, Provenance)
    yield from _tag_faults("its role", dataset.role, Role)
    for name in ("documents", "of_staff", "of_requests"):
        yield from _tag_faults(f"its `{name}`", getattr(dataset, name), bool)
    if dataset.subject_kinds is not None:
        yield from _tag_faults("its `subject_kinds`", dataset.subject_kinds, frozenset)
        for kind in dataset.subject_kinds:
            yield from _tag_faults("one of its `subject_kinds`", kind, SubjectKind)


def _field_faults(dataset: Dataset) -> Faults:
    for number, field in enumerate(dataset.fields, 1):
        yield from _tag_faults(f"field {number}", field, Field)
        yield from _tag_faults(f"the name of field {number}", field.name, str)
        what = f"of the field {field.name!r}"
        yield from _tag_faults(f"the type {what}", field.type, FieldType)
        yield from _text_faults(f"the description {what}", field.description)
        yield from _tag_faults(f"the provenance {what}", field.provenance, Provenance)
        yield from _tag_faults(f"`third_party` {what}", field.third_party, bool)
        for value in field.values:
            yield from _tag_faults(f"a value {what}", value, FieldValue)
            yield from _text_faults(f"a value {what}", value.value)
            yield from _text_faults(f"the label of a value {what}", value.label)


def _withheld_faults(dataset: Dataset) -> Faults:
    for withheld in dataset.withheld:
        yield from _tag_faults("one of its `withheld`", withheld, Withheld)
        yield from _text_faults("the name of one of its `withheld`", withheld.name)
        what = f"of what it withholds as {withheld.name!r}"
        yield from _text_faults(f"the description {what}", withheld.what)
        yield from _text_faults(f"the reason {what}", withheld.reason)
        yield from _tag_faults(f"the kind {what}", withheld.kind, WithheldKind)


def _column_faults(dataset: Dataset) -> Faults:
    fields = [field.name for field in dataset.fields]
    if len(set(fields)) != len(fields) or not fields:
        yield "it has no fields, or a field twice", ""
    if not all(map(is_text, fields)):
        yield "no database has a column with the name of a field", NAME_HINT
    if not dataset.key or not set(dataset.key) <= set(fields):
        yield "its key is not among its fields", ""


def _person_faults(dataset: Dataset) -> Faults:
    """Find faults of what the fields say about other people."""
    of_people = [field for field in dataset.fields if field.person is not None]
    if not all(isinstance(field.person, Person) for field in of_people):
        yield "the `person` of a field is not a Person", ""
    if any(field.name in dataset.key or field.type not in REDACTABLE for field in of_people):
        yield "only a text or object that is not a key has a `person`", ""
    nested = [field for field in dataset.fields if field.keys is not None]
    are_keys = all(_is_nested_key(key) for field in nested for key in field.keys or ())
    if not are_keys or any(field.type is not FieldType.OBJECT for field in nested):
        yield "only an object has `keys`, with paths such as `/order/lines`", ""


def _is_nested_key(key: object) -> bool:
    return isinstance(key, NestedKey) and str(key.path).startswith("/")


def _disclosure_faults(dataset: Dataset) -> Faults:
    """Find faults of the fields that name recipients, if the dataset declares them."""
    types = {field.name: field.type for field in dataset.fields}
    match dataset.disclosures:
        case None:
            return
        case DisclosureFields(recipient, _) if types.get(recipient) is not FieldType.STRING:
            yield "the recipient of `disclosures` is not a field of texts", ""
        case DisclosureFields(_, at) if at and types.get(at) not in {FieldType.DATETIME, FieldType.DATE}:
            yield "the time of `disclosures` is not a time or date", ""
        case DisclosureFields():
            return
        case _:
            yield "its `disclosures` are not DisclosureFields", ""
