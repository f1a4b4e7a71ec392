"""Archives that a receiver must accept, each with what is special about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from receiver.conformance.drafts import PROFILE, DraftVolume, KitIssuer, MadeVolume, jsonl, made
from receiver.conformance.zip_writer import run

SILENCE, SILENCE_PACKED = run(0, 400)
"""103,201 bytes in 657."""
LARGE_BYTES = 4 << 20
DEVICES = "data/devices/devices.jsonl"
RECORDING = "data/calls/recordings/rec_1.wav"


def one_volume(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive with one record."""
    return [made(DraftVolume(issuer, payload=PROFILE))]


def three_volumes(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive whose volumes are 1, 2 and 4: numbers may have gaps."""
    first = made(DraftVolume(issuer, 1, payload=PROFILE, volumes=None))
    lines = jsonl({"id": "dev_1", "user_id": "usr_conformance"}, {"id": "dev_2", "user_id": "usr_conformance"})
    second = made(DraftVolume(issuer, 2, payload={DEVICES: lines}, volumes=None))
    more = jsonl({"id": "dev_3", "user_id": "usr_conformance"})
    closing = DraftVolume(issuer, 4, payload={"data/devices/devices-0002.jsonl": more}, volumes=3)
    return [first, second, made(closing, [first, second])]


def compressed(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive with a file that is compressed to a 157th."""
    payload = {**PROFILE, RECORDING: SILENCE}
    return [made(DraftVolume(issuer, payload=payload, packed={RECORDING: SILENCE_PACKED}))]


def two_revisions(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive with two closing volumes: that with the higher revision counts."""
    first = made(DraftVolume(issuer, 1, payload=PROFILE))
    later = {DEVICES.replace(".jsonl", "-r2-01-0001.jsonl"): jsonl({"id": "dev_1", "user_id": "usr_conformance"})}
    return [first, made(DraftVolume(issuer, 2, revision=2, payload=later, volumes=2), [first])]


def without_data(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive of a person of whom nothing is stored."""
    return [made(DraftVolume(issuer, payload={"data/empty.txt": b"This volume contains no data.\n"}))]


def with_additions(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive with a file and a claim that this release does not know: a reader ignores them."""
    tags = {"later/news.json": b'{"since": "a later release"}\n'}
    return [made(DraftVolume(issuer, payload=PROFILE, tags=tags, claims={"later": "ignored"}))]


def large(issuer: KitIssuer) -> list[MadeVolume]:
    """Return an archive with a file of 4 MiB, for downloads that are interrupted."""
    return [made(DraftVolume(issuer, payload={**PROFILE, RECORDING: bytes(LARGE_BYTES)}))]


GOOD: Mapping[str, Callable[[KitIssuer], Sequence[MadeVolume]]] = {
    "one-volume": one_volume,
    "three-volumes": three_volumes,
    "compressed": compressed,
    "two-revisions": two_revisions,
    "without-data": without_data,
    "with-additions": with_additions,
}
RECORDS: Mapping[str, int] = {
    "one-volume": 1,
    "three-volumes": 4,
    "compressed": 1,
    "two-revisions": 2,
    "without-data": 0,
    "with-additions": 1,
}
"""The number of records of each."""
