"""A dataset described for machines: JSON Schema 2020-12 for its JSON Lines, Table Schema (Data Package v2) for CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from archive.write.facts import VolumeFacts
from portability.api import JSON, Dataset, Field, FieldType
from portability.locale import translations
from portability.locale.translations import label, of_label, of_value

Written: TypeAlias = Callable[[str], str]
"""How a text is in a file: as it is, or in CSV with the mark against formulas."""
EXACT_INTEGER = 2**53 - 1
"""The greatest integer that every JSON reader keeps (RFC 8259 section 6); formats write greater integers as strings."""

_JSON_TYPES: Mapping[FieldType, Mapping[str, JSON]] = {
    FieldType.STRING: {"type": ["string", "null"]},
    FieldType.INTEGER: {
        "anyOf": [
            {"type": ["integer", "null"], "minimum": -EXACT_INTEGER, "maximum": EXACT_INTEGER},
            {"type": "string", "pattern": "^-?[0-9]+$"},
        ]
    },
    # An integer that is a string is one in a field of numbers, too.
    FieldType.NUMBER: {"anyOf": [{"type": ["number", "null"]}, {"type": "string", "pattern": "^-?[0-9]+$"}]},
    FieldType.DECIMAL: {"type": ["string", "null"], "pattern": "^-?[0-9]+(\\.[0-9]+)?([Ee][+-]?[0-9]+)?$"},
    FieldType.BOOLEAN: {"type": ["boolean", "null"]},
    FieldType.DATETIME: {"type": ["string", "null"], "format": "date-time"},
    FieldType.DATE: {"type": ["string", "null"], "format": "date"},
    FieldType.OBJECT: {},
}
_TABLE_TYPES: Mapping[FieldType, str] = {
    FieldType.STRING: "string",
    FieldType.INTEGER: "integer",
    FieldType.NUMBER: "number",
    FieldType.DECIMAL: "number",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATETIME: "datetime",
    FieldType.DATE: "date",
    FieldType.OBJECT: "any",
}


def schema_path(exporter: str, dataset: Dataset) -> str:
    """Return where the JSON Schema of a dataset's records lies in a volume."""
    return f"schemas/{exporter}/{dataset.name}.schema.json"


def json_schema(exporter: str, dataset: Dataset, facts: VolumeFacts) -> dict[str, JSON]:
    """Make the JSON Schema of a record, with standard keywords only: validators in strict mode refuse others.

    Every value may be null: a source that lost a value must be exportable.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:portability:1:{exporter}:{dataset.name}",
        "title": dataset.title,
        "description": dataset.description,
        "type": "object",
        # orjson refuses subclasses as keys, and columns of a database's own reflection have such names.
        "properties": {
            str.__str__(field.name): {
                "title": label(field.name),
                "description": field.description,
                **_JSON_TYPES[field.type],
                **(_constants(field) if facts.has_known_values(exporter, dataset, field.name) else {}),
            }
            for field in dataset.fields
        },
        "required": list(dataset.key),
        "additionalProperties": False,
    }


def table_schema(exporter: str, dataset: Dataset, facts: VolumeFacts, written: Written) -> dict[str, JSON]:
    """Make the Table Schema of the dataset's JSON Lines or CSV, with names and values as they are in the file."""
    return {
        "fields": [
            {
                "name": written(field.name),
                "type": _TABLE_TYPES[field.type],
                **_meaning(exporter, dataset, field),
                **(_enumeration(field, written) if facts.has_known_values(exporter, dataset, field.name) else {}),
            }
            for field in dataset.fields
        ],
        "primaryKey": list(map(written, dataset.key)),
    }


def translated(texts: translations.Translations) -> dict[str, JSON]:
    """Name the translations as an extension: Table Schema has no keyword for them."""
    return {"x-translations": {**texts}} if texts else {}


def _constants(field: Field) -> dict[str, JSON]:
    known: list[JSON] = [{"const": one.value, "title": one.label} for one in field.values]
    return {"oneOf": [*known, {"type": "null"}]}


def _enumeration(field: Field, written: Written) -> dict[str, JSON]:
    return {
        "constraints": {"enum": [written(one.value) for one in field.values]},
        "categories": [{"value": written(one.value), "label": one.label} for one in field.values],
    }


def _meaning(exporter: str, dataset: Dataset, field: Field) -> dict[str, JSON]:
    title, *others = of_label(field.name).items()
    texts = translations.of_field(exporter, dataset, field)
    return {
        "title": title[1],
        "description": field.description,
        **translated({**({"title": dict(others)} if others else {}), **texts}),
        "x-provenance": field.provenance,
        "x-third-party": field.third_party,
        **({"x-person": field.person} if field.person else {}),
        **({"x-refers-to": field.refers_to} if field.refers_to else {}),
        **_labels(exporter, dataset, field),
    }


def _labels(exporter: str, dataset: Dataset, field: Field) -> dict[str, JSON]:
    """Return the labels of a field's values in all languages; `categories` have a label in one language only."""
    labels: dict[str, JSON] = {one.value: of_value(exporter, dataset, field, one) for one in field.values}
    return {"x-labels": labels} if labels else {}
