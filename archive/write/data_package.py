"""datapackage.json of a volume: Data Package v2, https://datapackage.org/standard/data-package/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial

import orjson

from archive.names import MemberNames
from archive.parts import FORMAT, Member, VolumeMetadata
from archive.write.facts import VolumeFacts
from archive.write.schemas import Written, schema_path, table_schema, translated
from portability.api import JSON
from portability.api.cells import defused
from portability.law.notice import Register, iri
from portability.locale.translations import of_dataset

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
CSV = "text/csv"
JSON_LINES = "application/jsonl"
TEXT = frozenset({CSV, JSON_LINES, "application/json", "application/vcon", "text/plain"})

CSV_DIALECT: dict[str, JSON] = {
    "delimiter": ",",
    "lineTerminator": "\r\n",
    "quoteChar": '"',
    "doubleQuote": True,
    "header": True,
    "x-null": 'NULL is an empty cell without quotes; an empty text is ""',
    "x-json": "A cell of a field of the type any is JSON text",
    "x-defused": (
        "A text that a spreadsheet would run as a formula, and a text that begins with ', begins with an additional '; "
        "remove it. The names of columns and the enumerations of the schema have it, too. Phone numbers such as "
        "+62 812-3456 are unchanged. JSON Lines has every value unchanged."
    ),
}


Table = tuple[str, str, str]
"""Exporter, dataset and media type."""


def data_package(envelope: VolumeMetadata, name: str, members: Sequence[Member], facts: VolumeFacts) -> Iterator[bytes]:
    """Yield the document in blocks, so that memory does not grow with the number of members."""
    head = {
        "$schema": PROFILE,
        "name": name,
        "id": f"urn:portability:export:{envelope.export}",
        "title": f"Export {envelope.export}, volume {name.rpartition('-')[2]}",
        "version": FORMAT,
        "created": envelope.produced_at.isoformat().replace("+00:00", "Z"),
        "x-profile": envelope.profile,
        "x-subject": envelope.subject,
    }
    yield orjson.dumps(head)[:-1] + b',"resources":['
    processing = cache(partial(_processing, envelope.register))
    targets = _whole_tables(members)
    for index, (resource_name, member) in enumerate(_named(members)):
        resource = _resource(resource_name, member)
        if is_table(member):
            resource |= _table(member, targets, facts)
        resource |= processing(member.content.exporter, member.content.dataset.name)
        yield (b",\n" if index else b"\n") + orjson.dumps(resource)
    yield b"\n]}\n"


def is_table(member: Member) -> bool:
    """Return whether a member has the records of a dataset as lines; a file that a customer sent never does."""
    is_table_format = _media_type(member) in {CSV, JSON_LINES}
    return is_table_format and member.content.has_dataset_records and not member.content.dataset.documents


def _media_type(member: Member) -> str:
    return member.content.media_type.partition(";")[0]


def _named(members: Sequence[Member]) -> Iterator[tuple[str, Member]]:
    names = MemberNames()
    return ((names.claim(member.path.lower().replace("/", ".")), member) for member in members)


def _whole_tables(members: Sequence[Member]) -> Mapping[Table, str]:
    """Return the resources that foreign keys may name: those that have all records of their dataset."""
    found: dict[Table, str | None] = {}
    for name, member in _named(members):
        if is_table(member):
            table = (member.content.exporter, member.content.dataset.name, _media_type(member))
            found[table] = None if table in found else name
    return {table: name for table, name in found.items() if name is not None}


def _resource(name: str, member: Member) -> dict[str, JSON]:
    content, dataset = member.content, member.content.dataset
    media_type = _media_type(member)
    resource: dict[str, JSON] = {
        "name": name,
        "path": member.path,
        "title": dataset.title,
        **translated(of_dataset(content.exporter, dataset)),
        # Programs would guess a table by the ending of a name.
        "format": "bin",
        "mediatype": media_type,
        "bytes": member.bytes,
        "hash": f"sha256:{member.sha256}",
        "x-exporter": content.exporter,
        "x-dataset": dataset.name,
        "x-provenance": dataset.provenance,
        "x-role": dataset.role,
        "x-records": content.records,
        "x-state": content.state,
    }
    if media_type in TEXT and not content.file:  # the encoding of a customer's text is unknown
        resource["encoding"] = "utf-8"
    if content.corrects:
        resource["x-corrects"] = True
    if content.form:
        resource |= {"x-form": content.form, "x-losses": dict(content.losses)}
    if content.file:
        resource["x-file"] = content.file
    return resource


def _table(member: Member, targets: Mapping[Table, str], facts: VolumeFacts) -> dict[str, JSON]:
    content, is_csv = member.content, _media_type(member) == CSV
    written: Written = defused if is_csv else str
    schema = table_schema(content.exporter, content.dataset, facts, written)
    if keys := _foreign_keys(member, targets, facts, written):
        schema["foreignKeys"] = keys
    table: dict[str, JSON] = {"type": "table", "schema": schema}
    # NULL of JSON is null, and a reader would take the empty text for NULL if nothing were stated.
    schema["missingValues"] = [""] if is_csv else []
    if is_csv:
        return table | {"format": "csv", "dialect": CSV_DIALECT}
    return table | {"format": "jsonl", "x-json-schema": schema_path(content.exporter, content.dataset)}


def _foreign_keys(member: Member, targets: Mapping[Table, str], facts: VolumeFacts, written: Written) -> list[JSON]:
    """Return the references that lead to a record of this volume, each of them."""
    content = member.content
    keys: list[JSON] = []
    for field in content.dataset.fields:
        exporter, _, dataset = (field.refers_to or "").partition("/")
        target = targets.get((exporter, dataset, _media_type(member)))
        key = facts.key_of(content.exporter, content.dataset, field.name) if target else None
        if key is not None and (exporter, dataset) != (content.exporter, content.dataset.name):
            reference = {"resource": target, "fields": [written(key)]}
            keys.append({"fields": [written(field.name)], "reference": reference})
    return keys


def _processing(register: Register | None, exporter: str, dataset: str) -> dict[str, JSON]:
    """Return legal bases and retention as codes, and the terms of the Data Privacy Vocabulary."""
    entry = register.entry(exporter, dataset) if register else None
    if register is None or entry is None:
        return {}
    bases = [register.bases[basis] for basis in dict.fromkeys(entry.purposes.values())]
    retention = register.retention[entry.retention]
    terms = [*(register.purposes[purpose].dpv for purpose in entry.purposes), *(basis.dpv for basis in bases)]
    return {
        "x-legal-basis": [*dict.fromkeys(str(basis.kind) for basis in bases)],
        "x-retention": retention.model_dump(mode="json", include={"begins", "shortest", "longest"}, exclude_none=True),
        "x-dpv": [*dict.fromkeys(iri(term) for term in terms if term)],
    }
