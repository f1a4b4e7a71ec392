"""Forms that all kinds of maps share: a source, its datasets, their fields, and what is not delivered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from exporters.maps import times
from portability import api
from portability.api import (
    FieldType,
    FieldValue,
    NestedKey,
    Person,
    Provenance,
    Role,
    SubjectKind,
    Withheld,
    WithheldKind,
)
from portability.api.names import is_text


def _storable_text(text: str) -> str:
    """Refuse a text that no export could store, or that says nothing."""
    if not is_text(text):
        raise ValueError("a text has a character other than a blank, no NUL, and no lone surrogate")
    return text


Text = Annotated[str, AfterValidator(_storable_text)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
"""A name that becomes a folder or file in every archive."""
Pointer = Annotated[str, StringConstraints(pattern=r"^(/[^/]+)+$")]
"""A JSON Pointer without indexes."""
DatasetPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9_-]{1,100}$")]
"""A dataset of any source: `exporter/dataset`."""
TimeFormat = Annotated[str, AfterValidator(times.checked_format)]
ReadFormat = Annotated[str, AfterValidator(times.checked_readable)]
TimeZone = Annotated[str, AfterValidator(times.checked_zone)]
ALTERNATIVE = "form of "
"""Begin of the tags of alternative forms of a value: errors of pydantic have them among the steps to the value."""


def _number_or_text(value: object) -> object:
    """Refuse a value with one fault: the library has one for each of both types."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError("each value is a whole number or a text")


UnsetValue = Annotated[int | str, BeforeValidator(_number_or_text)]


class MapForm(BaseModel):
    """A table of a map: unknown keys are faults, and values are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FieldForm(MapForm):
    """A field of a dataset. What is not a field is not exported."""

    text: Text
    """Description for people."""
    type: FieldType | None = None
    """Default: a text. A kind of source whose records state their types may have another default."""
    provenance: Provenance | None = None
    """Default: the dataset's."""
    third_party: bool = False
    person: Person | None = None
    keys: tuple[Pointer, ...] | None = None
    """The keys of its JSON values; default: any."""
    keys_about_others: tuple[Pointer, ...] = ()
    """Further keys, whose values are about other people."""
    values: Mapping[Text, Text] = Field(default_factory=dict)
    """The values of a text that the source writes, each with a label for people; default: any."""
    refers_to: DatasetPath | None = None
    """The dataset whose records the value identifies."""

    @model_validator(mode="after")
    def _check_values(self) -> FieldForm:
        if self.values and self.type not in {None, FieldType.STRING}:
            raise ValueError("values are for texts")
        return self

    def field(self, name: str, kind: FieldType, provenance: Provenance) -> api.Field:
        """Return the field of the plug-in API; `kind` and `provenance` apply where the map states none."""
        keys = None
        if self.keys is not None or self.keys_about_others:
            others = (NestedKey(path, is_about_other=True) for path in self.keys_about_others)
            keys = (*map(NestedKey, self.keys or ()), *others)
        is_third_party = self.third_party or self.person is not None
        described = (name, self.type or kind, self.text, self.provenance or provenance)
        values = tuple(FieldValue(value, label) for value, label in self.values.items())
        return api.Field(*described, is_third_party, self.person, keys, values, self.refers_to)


class WithheldForm(MapForm):
    """What the source stores about a subject and does not deliver."""

    what: Text
    """A description that a person understands."""
    reason: Text
    kind: WithheldKind = WithheldKind.SECRET

    def withheld(self, name: str) -> Withheld:
        """Return the noun of the plug-in API."""
        return Withheld(name, self.what, self.reason, self.kind)


class DatasetForm(MapForm):
    """A dataset; each kind of source adds how its records are read."""

    name: Name
    title: Text
    description: Text
    provenance: Provenance
    role: Role | None = None
    """Default: the source's."""
    kinds: frozenset[SubjectKind] | None = Field(default=None, min_length=1)
    """Kinds of subjects that have such records; default: the source's."""
    key: tuple[Name, ...] = Field(default=("id",), min_length=1)
    """Names of the fields that identify a record permanently."""


class TimesForm(MapForm):
    """How a source writes times where no type says it."""

    format: ReadFormat = "rfc3339"
    zone: TimeZone = "UTC"
    """The zone of times without an offset."""
    unset: tuple[UnsetValue, ...] = ()
    """Values that are not a time, in numbers and in texts: what the source writes for `never`."""


class DecisionForm(MapForm):
    """Who decided what the map says about tables and columns, and when."""

    by: Text
    on: date
    about: tuple[Text, ...] = Field(min_length=1)
    """What was decided on, by the names that the source has."""
    note: Text | None = None


class SourceForm(MapForm):
    """The top of a map."""

    title: Text
    role: Role
    kinds: frozenset[SubjectKind] = Field(min_length=1)
    decision: tuple[DecisionForm, ...] = ()


def dataset_of(
    source: SourceForm,
    form: DatasetForm,
    fields: tuple[api.Field, ...],
    withheld: Mapping[str, WithheldForm],
    *,
    of_staff: bool = False,
    disclosures: api.DisclosureFields | None = None,
) -> api.Dataset:
    """Return the dataset of the plug-in API."""
    return api.Dataset(
        name=form.name,
        title=form.title,
        description=form.description,
        fields=fields,
        provenance=form.provenance,
        role=form.role or source.role,
        key=form.key,
        subject_kinds=form.kinds or source.kinds,
        withheld=tuple(one.withheld(name) for name, one in withheld.items()),
        of_staff=of_staff,
        disclosures=disclosures,
    )
