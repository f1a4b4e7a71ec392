"""A dataset described for machines: JSON Schema 2020-12 for its JSON Lines, Table Schema (Data Package v2) for CSV."""

from __future__ import annotations

from collections.abc import Mapping

from portability.api import JSON, Dataset, Field, FieldType
from portability.locale import translations

EXACT_INTEGER = 2**53 - 1
"""The greatest integer that every JSON reader keeps (RFC 8259 section 6); formats write greater integers as strings."""

_JSON_TYPES: Mapping[FieldType, Mapping[str, JSON]] = {
    FieldType.STRING: {"type": ["string", "null"]},
    FieldType.INTEGER: {
        "type": ["integer", "string", "null"],
        "minimum": -EXACT_INTEGER,
        "maximum": EXACT_INTEGER,
        "pattern": "^-?[0-9]+$",
    },
    FieldType.NUMBER: {"type": ["number", "null"]},
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


def json_schema(exporter: str, dataset: Dataset) -> dict[str, JSON]:
    """Make the JSON Schema of a record. Every value may be null: a source that lost a value must be exportable."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:portability:1:{exporter}:{dataset.name}",
        "title": dataset.title,
        "description": dataset.description,
        **_translated(translations.of_dataset(exporter, dataset)),
        "type": "object",
        # orjson refuses subclasses as keys, and columns of a database's own reflection have such names.
        "properties": {
            str.__str__(field.name): {**_JSON_TYPES[field.type], **_meaning(exporter, dataset, field)}
            for field in dataset.fields
        },
        "required": list(dataset.key),
        "additionalProperties": False,
        "x-exporter": exporter,
        "x-dataset": dataset.name,
        "x-provenance": dataset.provenance,
        "x-role": dataset.role,
        "x-key": list(dataset.key),
    }


def table_schema(exporter: str, dataset: Dataset) -> dict[str, JSON]:
    """Make the Table Schema of the dataset's CSV, whose NULL is an empty cell without quotes."""
    return {
        "fields": [
            {"name": field.name, "type": _TABLE_TYPES[field.type], **_meaning(exporter, dataset, field)}
            for field in dataset.fields
        ],
        "primaryKey": list(dataset.key),
        "missingValues": [""],
    }


def _meaning(exporter: str, dataset: Dataset, field: Field) -> dict[str, JSON]:
    return {
        "description": field.description,
        **_translated(translations.of_field(exporter, dataset, field)),
        "x-provenance": field.provenance,
        "x-third-party": field.third_party,
        **({} if field.person is None else {"x-person": field.person}),
    }


def _translated(texts: translations.Translations) -> dict[str, JSON]:
    """Name the translations as an extension: neither JSON Schema nor Table Schema has a keyword for them."""
    return {"x-translations": {**texts}} if texts else {}
