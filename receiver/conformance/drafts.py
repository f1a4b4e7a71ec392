"""Makes small archives of portability/1 from a few files, with any fault: before or after they are signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from archive import bag
from archive.parts import FORMAT
from portability.api import JSON
from portability.api.times import rfc3339
from portability.trust.signing import ARCHIVE_TYPE
from receiver.conformance.signers import KitKey, token
from receiver.conformance.zip_writer import ZipMember, directory, end, entries

README = b"<!doctype html><title>Test data</title><p>A test archive of the conformance kit. It is about no person.\n"
PROFILE_FIELDS = ("id", "full_name", "email", "job_title", "mfa_enabled", "created_at")
Signer = Callable[[Mapping[str, Any], KitKey], str | None]
"""Returns signature.jwt for the claims of a volume, or None to leave the file out."""
Files = Mapping[str, bytes]
Change = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class KitIssuer:
    """Who signs the archives of a run, and which export they are of."""

    url: str
    archive_key: KitKey
    at: int
    """When they are signed: seconds since 1970."""
    export: str
    subject: str = "sub_conformance"

    def name(self, number: int) -> str:
        """Return the name of a volume."""
        return f"export-{self.export}-{number:03}"


@dataclass(frozen=True, slots=True)
class DraftVolume:
    """One volume before it is written. Each field that is a function returns its argument if there is no fault."""

    issuer: KitIssuer
    number: int = 1
    revision: int = 1
    payload: Files = field(default_factory=dict)
    tags: Files = field(default_factory=dict)
    """Tag files that replace or complete the usual files; an empty content leaves a file out."""
    volumes: int | None = 1
    """Their number in the closing volume; None in the others."""
    claims: Mapping[str, JSON] = field(default_factory=dict)
    """Claims that replace the right claims; None leaves a claim out."""
    manifest: Change = lambda text: text
    tagmanifest: Change = lambda text: text
    root: str | None = None
    sign: Signer = lambda claims, key: token(claims, key, ARCHIVE_TYPE)
    before: Callable[[list[ZipMember]], list[ZipMember]] = lambda members: members
    """Changes entries before they are signed."""
    packed: Files = field(default_factory=dict)
    """Deflate streams of files that are compressed, by path."""

    @property
    def folder(self) -> str:
        return self.root or self.issuer.name(self.number)

    @property
    def is_closing(self) -> bool:
        return self.volumes is not None


@dataclass(frozen=True, slots=True)
class MadeVolume:
    """A signed volume, in parts: so that bytes between them can be changed."""

    draft: DraftVolume
    members: Sequence[ZipMember]
    data: bytes
    counts: Sequence[Mapping[str, JSON]]
    tagmanifest_sha256: str

    @property
    def name(self) -> str:
        return self.draft.issuer.name(self.draft.number)

    def line(self) -> dict[str, JSON]:
        """Return its line in export.json of a later volume."""
        sha256 = hashlib.sha256(self.data).hexdigest()
        names: dict[str, JSON] = {"number": self.draft.number, "name": self.name, "bytes": len(self.data)}
        return {**names, "sha256": sha256, "tagmanifest_sha256": self.tagmanifest_sha256, "counts": list(self.counts)}

    def with_data(self, data: bytes) -> MadeVolume:
        """Return the volume with other bytes."""
        return replace(self, data=data)


def jsonl(*records: Mapping[str, JSON]) -> bytes:
    """Return records as JSON Lines."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def profile_record(**changes: JSON) -> dict[str, JSON]:
    """Return the record of a person that does not exist."""
    known: dict[str, JSON] = {"id": "usr_conformance", "full_name": "Kit Conform", "email": "kit@conformance.example"}
    return {**known, "job_title": None, "mfa_enabled": False, "created_at": "2024-01-02T03:04:05.000000Z", **changes}


PROFILE = {"data/account/profile.jsonl": jsonl(profile_record())}


def counts_of(payload: Files) -> list[dict[str, JSON]]:
    """Return the counts of a volume, by dataset."""
    found: dict[tuple[str, str], dict[str, JSON]] = {}
    for path, body in payload.items():
        exporter, dataset = dataset_of(path)
        empty: dict[str, Any] = {"exporter": exporter, "dataset": dataset}
        empty |= dict.fromkeys(("records", "files", "bytes", "corrections"), 0)
        if not exporter:
            continue
        line: dict[str, Any] = found.setdefault((exporter, dataset), empty)
        line["bytes"] += len(body)
        line["records" if path.endswith(".jsonl") else "files"] += body.count(b"\n") if path.endswith(".jsonl") else 1
    return list(found.values())


def dataset_of(path: str) -> tuple[str, str]:
    """Return exporter and dataset of a payload file; empty texts for a file of no dataset."""
    parts = path.split("/")
    return ("", "") if len(parts) < 3 else (parts[1], parts[2].partition(".")[0].partition("-")[0])  # noqa: PLR2004 - data/exporter/dataset


def made(draft: DraftVolume, earlier: Sequence[MadeVolume] = ()) -> MadeVolume:
    """Return the signed volume; `earlier` are those that its export.json lists before it."""
    root, counts = draft.folder.encode(), counts_of(draft.payload)
    tags = {name: body for name, body in {**_tags(draft, counts, earlier), **draft.tags}.items() if body}
    manifest = draft.manifest(_manifest(draft.payload))
    listed = {**tags, bag.MANIFEST: manifest}
    tagmanifest = draft.tagmanifest(_manifest(dict(sorted(listed.items()))))
    files = {**draft.payload, **tags, bag.MANIFEST: manifest, bag.TAG_MANIFEST: tagmanifest}
    written = {path: body for path, body in files.items() if body or path in draft.payload}
    members = draft.before(
        [ZipMember(root + b"/" + path.encode(), body, draft.packed.get(path)) for path, body in written.items()]
    )
    head, placed = entries(members)
    sha256 = hashlib.sha256(tagmanifest).hexdigest()
    signature = draft.sign(_claims(draft, head, sha256), draft.issuer.archive_key)
    if isinstance(signature, str):
        members = [*members, ZipMember(root + b"/" + bag.SIGNATURE.encode(), signature.encode())]
        tail, signed = entries(members[-1:], len(head))
        head, placed = head + tail, [*placed, *signed]
    listing = directory(placed)
    data = head + listing + end(placed, len(listing), len(head))
    return MadeVolume(draft, members, data, counts, sha256)


def _manifest(files: Files) -> bytes:
    return b"".join(bag.manifest((path, hashlib.sha256(body).hexdigest()) for path, body in files.items()))


def _claims(draft: DraftVolume, head: bytes, tagmanifest_sha256: str) -> dict[str, Any]:
    issuer = draft.issuer
    claims: dict[str, Any] = {
        "iss": issuer.url,
        "jti": hashlib.sha256(head).hexdigest()[:32],
        "iat": issuer.at,
        "sub": issuer.subject,
        "profile": "portability",
        "export": issuer.export,
        "volume": draft.number,
        "revision": draft.revision,
        "closing": draft.is_closing,
        "tagmanifest_sha256": tagmanifest_sha256,
        "head_sha256": hashlib.sha256(head).hexdigest(),
        "files": len(draft.payload),
        "bytes": sum(map(len, draft.payload.values())),
        **draft.claims,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _tags(draft: DraftVolume, counts: list[dict[str, JSON]], earlier: Sequence[MadeVolume]) -> dict[str, bytes]:
    issuer, payload = draft.issuer, draft.payload
    info = {
        "Source-Organization": issuer.url,
        "External-Identifier": issuer.export,
        "Bagging-Date": f"{datetime.fromtimestamp(issuer.at, UTC):%Y-%m-%d}",
        "Payload-Oxum": f"{sum(map(len, payload.values()))}.{len(payload)}",
        "Bag-Group-Identifier": f"export-{issuer.export}",
        "Bag-Count": f"{draft.volumes} of {draft.volumes}" if draft.is_closing else f"{draft.number} of ?",
    }
    pieces = [
        {
            "path": path,
            **dict(zip(("exporter", "dataset"), dataset_of(path), strict=True)),
            "records": body.count(b"\n"),
        }
        for path, body in payload.items()
        if path.endswith(".jsonl")
    ]
    tags = {
        bag.README: README,
        bag.DATA_PACKAGE: orjson.dumps(_data_package(draft)),
        bag.COUNTS: orjson.dumps({"format": FORMAT, "datasets": counts, "pieces": pieces}),
        bag.DECLARATION: bag.DECLARATION_TEXT,
        bag.INFO: "".join(f"{label}: {value}\n" for label, value in info.items()).encode(),
    }
    if draft.is_closing:
        tags[bag.EXPORT] = orjson.dumps(closing_document(draft, counts, earlier))
    return dict(sorted(tags.items()))


def closing_document(
    draft: DraftVolume, counts: Sequence[Mapping[str, JSON]], earlier: Sequence[MadeVolume] = ()
) -> dict[str, Any]:
    """Return export.json of a closing volume."""
    issuer, moment = draft.issuer, rfc3339(datetime.fromtimestamp(draft.issuer.at, UTC))
    total: dict[tuple[Any, Any], dict[str, Any]] = {}
    for one in [*(line for volume in earlier for line in volume.counts), *counts]:
        line = total.setdefault((one["exporter"], one["dataset"]), {**one, **dict.fromkeys(_NUMBERS, 0)})
        for name in _NUMBERS:
            line[name] += one[name]
    own = {"number": draft.number, "name": draft.folder, "counts": list(counts)}
    return {
        "format": FORMAT,
        "export": issuer.export,
        "profile": "portability",
        "subject": issuer.subject,
        "subject_kind": "user",
        **dict.fromkeys(("requested_at", "began_at", "ended_at"), moment),
        "complete": True,
        "outcome": {"own": "complete" if total else "nothing_held", "processor": "none"},
        "no_data_held": not total,
        "revision": draft.revision,
        "formats": ["jsonl"],
        "datasets": [{**line, "title": line["dataset"], "state": "complete", "gaps": 0} for line in total.values()],
        **{name: [] for name in ("gaps", "referrals", "reviews", "not_included", "withheld")},
        "volumes": [*(volume.line() for volume in earlier), own],
    }


_NUMBERS = ("records", "files", "bytes", "corrections")


def _data_package(draft: DraftVolume) -> dict[str, Any]:
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": draft.folder,
        "version": FORMAT,
        "x-profile": "portability",
        "x-subject": draft.issuer.subject,
        "resources": [_resource(path, body) for path, body in draft.payload.items()],
    }


def _resource(path: str, body: bytes) -> dict[str, Any]:
    exporter, dataset = dataset_of(path)
    is_table = path.endswith(".jsonl")
    fields = [{"name": name, "type": "boolean" if name == "mfa_enabled" else "string"} for name in PROFILE_FIELDS]
    return {
        "name": path.replace("/", ".").lower(),
        "path": path,
        "title": dataset or path,
        "format": "jsonl" if is_table else "bin",
        "mediatype": "application/jsonl" if is_table else "application/octet-stream",
        "bytes": len(body),
        "hash": f"sha256:{hashlib.sha256(body).hexdigest()}",
        "x-exporter": exporter or "portability",
        "x-dataset": dataset or "none",
        "x-provenance": "provided",
        "x-role": "controller",
        "x-records": body.count(b"\n") if is_table else None,
        "x-state": "complete",
        **(
            {"encoding": "utf-8", "type": "table", "schema": {"fields": fields, "primaryKey": ["id"]}}
            if is_table
            else {}
        ),
    }
