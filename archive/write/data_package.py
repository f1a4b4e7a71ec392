"""datapackage.json of a volume: Data Package v2, https://datapackage.org/standard/data-package/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, partial

import orjson

from archive.names import MemberNames
from archive.parts import FORMAT, Member, VolumeMetadata
from archive.write.schemas import schema_path, table_schema
from portability.api import JSON
from portability.law.notice import Register, iri

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
    "x-defused": (
        "A text that a spreadsheet would run as a formula, and a text that begins with ', begins with an additional '; "
        "remove it. Phone numbers such as +62 812-3456 are unchanged. JSON Lines has every value unchanged."
    ),
}


def data_package(envelope: VolumeMetadata, name: str, members: Iterable[Member]) -> Iterator[bytes]:
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
    names = MemberNames()
    processing = cache(partial(_processing, envelope.register))
    for index, member in enumerate(members):
        resource = _resource(names.claim(member.path.lower().replace("/", ".")), member)
        resource |= processing(member.content.exporter, member.content.dataset.name)
        yield (b",\n" if index else b"\n") + orjson.dumps(resource)
    yield b"\n]}\n"


def _resource(name: str, member: Member) -> dict[str, JSON]:
    content, dataset = member.content, member.content.dataset
    media_type = content.media_type.partition(";")[0]
    resource: dict[str, JSON] = {
        "name": name,
        "path": member.path,
        "title": dataset.title,
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
    if media_type in TEXT:
        resource["encoding"] = "utf-8"
    if media_type in {CSV, JSON_LINES}:
        resource |= {"type": "table", "schema": table_schema(content.exporter, dataset)}
    if media_type == CSV:
        resource |= {"format": "csv", "dialect": CSV_DIALECT}
    elif media_type == JSON_LINES:
        resource |= {"format": "jsonl", "x-json-schema": schema_path(content.exporter, dataset)}
    if content.corrects:
        resource["x-corrects"] = True
    if content.form is not None:
        resource |= {"x-form": content.form, "x-losses": dict(content.losses)}
    if content.file is not None:
        resource["x-file"] = content.file
    return resource


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
