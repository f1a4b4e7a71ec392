"""The dataset register: every dataset with every field, its description, and what is withheld (R4, R31).

Generated from code and from the notice register; published with its version (Data Act Art. 26(b), 30(5)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import orjson

from portability.api import JSON, Dataset, DocumentFormat, Exporter, Field, Format, Provenance, Withheld, WriterFormat
from portability.law.notice import PORTABLE, DatasetEntry, Register
from portability.locale import SOURCE, translations

FORMAT = "portability/1"
"""The version of the archive format; within a version the register changes by additions only."""
STANDARDS = (
    "ZIP (APPNOTE 6.3)",
    "BagIt 1.0 (RFC 8493)",
    "JWS, ES256 (RFC 7515)",
    "JSON Lines, UTF-8 (RFC 8259)",
    "CSV (RFC 4180)",
    "JSON Schema 2020-12",
    "Data Package v2",
    "vCon (draft-ietf-vcon-vcon-core)",
)


def document(
    exporters: Mapping[str, Exporter], formats: Mapping[str, Format | WriterFormat | DocumentFormat], notice: Register
) -> dict[str, JSON]:
    """Return the register as it is published; its SHA-256 changes with its content."""
    content: dict[str, JSON] = {
        "format": FORMAT,
        "notice": {"version": notice.version, "valid_from": notice.valid_from.isoformat()},
        "standards": list(STANDARDS),
        "formats": [
            {"name": name, "suffix": one.suffix, "media_type": one.media_type} for name, one in sorted(formats.items())
        ],
        "datasets": list(entries(exporters, notice)),
    }
    return {"version": _version(content), **content}


def entries(exporters: Mapping[str, Exporter], notice: Register) -> Iterator[dict[str, JSON]]:
    """Yield one entry for each dataset, with its own version."""
    for name, exporter in exporters.items():
        for dataset in exporter.datasets:
            entry = _dataset(name, exporter, dataset) | _notice_of(notice, name, dataset)
            yield {**entry, "version": _version(entry)}


def _dataset(name: str, exporter: Exporter, dataset: Dataset) -> dict[str, JSON]:
    kinds = dataset.subject_kinds or exporter.subject_kinds
    return {
        "exporter": name,
        "dataset": dataset.name,
        "title": dataset.title,
        "description": dataset.description,
        "translations": {**translations.of_dataset(name, dataset)},
        "provenance": dataset.provenance,
        "role": dataset.role,
        "subject_kinds": sorted(map(str, kinds)),
        "key": list(dataset.key),
        "documents": dataset.documents,
        "fields": [_field(name, dataset, field) for field in dataset.fields],
        "withheld": [_withheld(name, dataset, withheld) for withheld in dataset.withheld],
    }


def _field(exporter: str, dataset: Dataset, field: Field) -> dict[str, JSON]:
    return {
        "name": field.name,
        "type": field.type,
        "description": field.description,
        "translations": {**translations.of_field(exporter, dataset, field)},
        "provenance": field.provenance,
        "third_party": field.third_party,
        "person": field.person,
    }


def _withheld(exporter: str, dataset: Dataset, withheld: Withheld) -> dict[str, JSON]:
    return {
        "name": withheld.name,
        "what": withheld.what,
        "reason": withheld.reason,
        "translations": {**translations.of_withheld(exporter, dataset, withheld)},
        "kind": withheld.kind,
    }


def _notice_of(notice: Register, name: str, dataset: Dataset) -> dict[str, JSON]:
    """Return what the notice register says about a dataset; empty if it has no entry."""
    entry = notice.entry(name, dataset.name)
    is_portable = dataset.provenance is not Provenance.DERIVED and notice.bases_of(name, dataset.name) & PORTABLE
    return {"portable": bool(is_portable), **(_entry(notice, entry) if entry else {})}


def _entry(notice: Register, entry: DatasetEntry) -> dict[str, JSON]:
    retention = notice.retention[entry.retention].model_dump(mode="json", exclude_none=True)
    return {
        "category": entry.category,
        "digital_asset": notice.categories[entry.category].digital_asset,
        "purposes": [
            {"purpose": purpose, "basis": basis, "kind": notice.bases[basis].kind}
            for purpose, basis in entry.purposes.items()
        ],
        "retention": {"name": entry.retention, **retention},
        "recipients": [notice.recipients[one].name.read(SOURCE) for one in entry.recipients],
        "decisions": list(entry.decisions),
    }


def _version(content: Mapping[str, JSON] | Sequence[JSON]) -> dict[str, JSON]:
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return {"format": FORMAT, "sha256": digest}
