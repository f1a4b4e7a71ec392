"""Volumes made for tests, and broken on purpose."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
from joserfc.jwk import ECKey

from archive.counts import DatasetCount
from archive.parts import Content, SealedVolume, VolumeMetadata
from archive.verify.archives import Verification, verify
from archive.write.volume import Volume
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Role
from portability.trust.signing import Jwks, SigningKey

MOMENT = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
LINES = b'{"id":"c1","seconds":60,"paid":"10.50"}\n{"id":"c2","seconds":null,"paid":null}\n'
TABLE = b"id,seconds,paid\r\nc1,60,10.50\r\nc2,,\r\n"
SOUND = bytes(range(256)) * 20
MEMBERS: Mapping[str, tuple[bytes, str]] = {
    "calls/calls.jsonl": (LINES, "application/jsonl"),
    "calls/calls.csv": (TABLE, "text/csv"),
    "calls/recordings/c1.wav": (SOUND, "audio/wav"),
}
CALLS = Dataset(
    name="calls",
    title="Calls",
    description="Every call, one record each.",
    fields=(
        Field("id", FieldType.STRING, "The call.", Provenance.OBSERVED),
        Field("seconds", FieldType.INTEGER, "How long it took.", Provenance.OBSERVED),
        Field("paid", FieldType.DECIMAL, "What it cost.", Provenance.DERIVED, third_party=True),
    ),
    provenance=Provenance.OBSERVED,
    role=Role.BOTH,
    key=("id",),
)


def new_key(kid: str = "archive-1") -> ECKey:
    """A private ES256 key."""
    return ECKey.generate_key("P-256", parameters={"kid": kid, "use": "sig", "alg": "ES256"})


KEY = new_key()


def key_set(*keys: ECKey, **ends: str) -> Jwks:
    """The JWK Set of some keys, or of KEY, all of them with the same `retired_at` or `revoked_at`."""
    return Jwks.parse({"keys": [{**key.as_dict(private=False), **ends} for key in keys or (KEY,)]})


JWKS = key_set()


def envelope(export: str = "e1", *, profile: str = "access", revision: int = 1, subject: str = "") -> VolumeMetadata:
    """Of a made-up export; without `subject` it has a subject of its own."""
    whose = subject or f"subject-of-{export}"
    return VolumeMetadata("https://vlint.example", export, whose, profile, revision, MOMENT, MOMENT)


def content(media_type: str) -> Content:
    """Of a member of CALLS."""
    is_table = media_type in {"application/jsonl", "text/csv"}
    return Content("calls", CALLS, media_type, records=2 if is_table else None)


def closing_document(
    of: VolumeMetadata, number: int, earlier: Sequence[SealedVolume] = (), **changes: JSON
) -> dict[str, JSON]:
    """export.json, as the worker makes it."""
    line = {"exporter": "calls", "dataset": "calls", "title": "Calls", "state": "complete"}
    return {
        "format": "portability/1",
        "export": of.export,
        "profile": of.profile,
        "subject": of.subject,
        "subject_kind": "tenant" if of.profile == "switch" else "user",
        "complete": True,
        "outcome": {"own": "complete", "processor": "none"},
        "no_data_held": False,
        "revision": of.revision,
        "formats": ["jsonl", "csv"],
        "datasets": [{**line, "records": 2, "files": 1, "bytes": 100, "gaps": 0}],
        "gaps": [],
        "not_included": [],
        "volumes": [
            *(
                {
                    "number": volume.number,
                    "name": volume.name,
                    "bytes": volume.bytes,
                    "sha256": volume.sha256,
                    "tagmanifest_sha256": volume.tagmanifest_sha256,
                }
                for volume in earlier
            ),
            {"number": number, "name": of.volume_name(number)},
        ],
        **changes,
    }


def write_volume(
    folder: Path,
    number: int = 1,
    *,
    of: VolumeMetadata | None = None,
    members: Mapping[str, tuple[bytes, str]] = MEMBERS,
    counted: Sequence[DatasetCount] | None = None,
    closing: Mapping[str, JSON] | None = None,
    key: SigningKey = KEY,
) -> tuple[Path, SealedVolume]:
    """One sealed volume in a folder."""
    of = of or envelope()
    path = folder / f"{of.volume_name(number)}.zip"
    with path.open("wb") as file:
        volume = Volume(of, number, file.write)
        for name, (body, media_type) in members.items():
            volume.add(name, [body], content(media_type))
        return path, volume.seal(key, counted=counted, closing=closing)


def write_archive(
    folder: Path, volumes: int = 1, *, of: VolumeMetadata | None = None, key: SigningKey = KEY
) -> list[Path]:
    """A whole archive in a folder; the last volume is the closing one."""
    of = of or envelope()
    paths: list[Path] = []
    sealed: list[SealedVolume] = []
    for number in range(1, volumes + 1):
        closing = closing_document(of, number, sealed) if number == volumes else None
        path, volume = write_volume(folder, number, of=of, closing=closing, key=key)
        paths.append(path)
        sealed.append(volume)
    return paths


def codes(paths: Sequence[Path], jwks: Jwks = JWKS, *, partial: bool = False) -> set[str]:
    """The codes of all faults that verifying finds; empty means that it verifies."""
    result: Verification = verify(paths, jwks, partial=partial)
    assert result.ok is not bool(result.errors)
    return {str(fault.code) for fault in result.errors}


def pack_again(path: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Rewrite a volume with the standard library, its files (by path in the bag) changed."""
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        files = {name.removeprefix(f"{root}/"): archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(f"{root}/{name}", body)


def insert_before_directory(path: Path, data: bytes) -> None:
    """Put bytes between the last entry and the directory, and have the end record know of it."""
    raw = path.read_bytes()
    (offset,) = struct.unpack_from("<L", raw, len(raw) - 6)
    end = raw[-22:-6] + struct.pack("<LH", offset + len(data), 0)
    path.write_bytes(raw[:offset] + data + raw[offset:-22] + end)


def edit_json(name: str, **changes: JSON) -> Callable[[dict[str, bytes]], object]:
    """A change for `pack_again`: fields of one JSON file."""

    def change(files: dict[str, bytes]) -> None:
        files[name] = orjson.dumps({**orjson.loads(files[name]), **changes})

    return change
