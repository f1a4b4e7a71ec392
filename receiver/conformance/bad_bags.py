"""Bad archives whose ZIPs can be read: wrong files, manifests, counts, signatures, keys or volumes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from archive import bag
from receiver.conformance import archive_faults as faults
from receiver.conformance import good_archives
from receiver.conformance.archive_faults import TEXT, Cases, KitParty, Make
from receiver.conformance.bad_signatures import typed
from receiver.conformance.bad_zips import case, edited
from receiver.conformance.drafts import DraftVolume, KitIssuer, MadeVolume, closing_document, counts_of, made
from receiver.conformance.zip_writer import ZipMember

TABLE = "data/account/profile.jsonl"
OTHER_EXPORT = "other"
DECLARATION_SHA256 = hashlib.sha256(bag.DECLARATION_TEXT).hexdigest()


def signed(**more: object) -> Make:
    """Return the good volume, signed after a change of its draft."""
    return lambda party: [made(faults.draft(party, **more))]


def replaced(path: str, change: Callable[[bytes], bytes]) -> Make:
    """Return the good volume in which one file was replaced after it was signed."""
    return edited(lambda members: [_with_body(one, change) if _is(one, path) else one for one in members])


def removed(path: str) -> Make:
    """Return the good volume without one of its files."""
    return edited(lambda members: [one for one in members if not _is(one, path)])


def moved(path: str, new: str) -> Make:
    """Return the good volume in which one file has another name."""
    return edited(
        lambda members: [
            replace(one, name=one.name.replace(path.encode(), new.encode())) if _is(one, path) else one
            for one in members
        ]
    )


def _is(member: ZipMember, path: str) -> bool:
    return member.name.partition(b"/")[2] == path.encode()


def _with_body(member: ZipMember, change: Callable[[bytes], bytes]) -> ZipMember:
    return replace(member, body=change(member.body), packed=None)


def _beside(path: str) -> Make:
    """Return the good volume with a file that no manifest lists."""

    def added(members: list[ZipMember]) -> list[ZipMember]:
        root = members[0].name.partition(b"/")[0]
        return [*members[:-1], ZipMember(root + b"/" + path.encode(), b"<p>Pay here\n"), members[-1]]

    return edited(added)


def _info(change: Callable[[bytes], bytes]) -> Make:
    """Return the good volume, signed with another bag-info.txt."""

    def make(party: KitParty) -> Sequence[MadeVolume]:
        info = next(one.body for one in faults.good(party).members if _is(one, bag.INFO))
        return [made(faults.draft(party, tags={bag.INFO: change(info)}))]

    return make


def _json(path: str, change: Callable[[dict[str, Any]], object]) -> Make:
    """Return the good volume, signed with another JSON document."""

    def make(party: KitParty) -> Sequence[MadeVolume]:
        document = orjson.loads(next(one.body for one in faults.good(party).members if _is(one, path)))
        change(document)
        return [made(faults.draft(party, tags={path: orjson.dumps(document)}))]

    return make


def _without(number: int) -> Make:
    """Return the archive of three volumes without one of them."""

    def make(party: KitParty) -> Sequence[MadeVolume]:
        volumes = list(good_archives.three_volumes(party.issuer))
        del volumes[number]
        return volumes

    return make


def _other_export(party: KitParty) -> KitIssuer:
    return replace(party.issuer, export=party.issuer.export + OTHER_EXPORT)


def _foreign(party: KitParty) -> Sequence[MadeVolume]:
    return [faults.good(party), made(DraftVolume(_other_export(party), 2, payload={TABLE: b"{}\n"}, volumes=2))]


def _extra(party: KitParty) -> Sequence[MadeVolume]:
    extra = made(DraftVolume(party.issuer, 2, payload={"data/calls/calls.jsonl": b'{"id":"c"}\n'}, volumes=None))
    return [faults.good(party), extra]


def _exchanged(party: KitParty) -> Sequence[MadeVolume]:
    """Return an archive in which another volume, validly signed, has the place of the listed volume."""
    first, second, closing = good_archives.three_volumes(party.issuer)
    other = made(replace(second.draft, payload={good_archives.DEVICES: b'{"id":"dev_1"}\n{"id":"dev_3"}\n'}))
    return [first, other, closing]


def _closing(change: Callable[[dict[str, Any]], object]) -> Make:
    def make(party: KitParty) -> Sequence[MadeVolume]:
        draft = faults.draft(party)
        document = closing_document(draft, counts_of(draft.payload))
        change(document)
        return [made(replace(draft, tags={bag.EXPORT: orjson.dumps(document)}))]

    return make


def _twice(text: bytes) -> bytes:
    return text + text.splitlines(keepends=True)[0]


def _first_hash(text: bytes) -> bytes:
    return b"0" * 64 + text[64:]


def _count(number: int) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["pieces"][0].update(records=number)


def _sum(document: dict[str, Any]) -> None:
    document["datasets"][0]["records"] = 7


FILES: Cases = {
    "changed-file": case(
        "each file has its hash", faults.CHECKING, "changed", replaced(TABLE, lambda body: body[::-1])
    ),
    "missing-file": case("each listed file is there", faults.CHECKING, "missing", removed(TEXT)),
    "added-file": case("a manifest lists each file", faults.CHECKING, "added", _beside("read-me-first.html")),
    "added-payload": case("a manifest lists each file", faults.CHECKING, "added", _beside("data/account/more.txt")),
    "renamed-file": case("each file has its listed name", faults.CHECKING, "renamed", moved(TEXT, "data/other.txt")),
    "missing-manifest": case("there is a manifest", faults.A_VOLUME, "missing", removed(bag.MANIFEST)),
    "missing-tag-manifest": case("there is a tag manifest", faults.A_VOLUME, "missing", removed(bag.TAG_MANIFEST)),
    "missing-declaration": case(
        "each volume is a bag with bagit.txt", faults.A_VOLUME, "missing", signed(tags={bag.DECLARATION: b""})
    ),
    "malformed-manifest": case(
        "a line is a SHA-256, two blanks and a path",
        faults.CHECKING,
        "bad_manifest",
        signed(manifest=lambda text: text.replace(b"  ", b" *")),
    ),
    "file-listed-twice": case("a manifest lists a file once", faults.CHECKING, "bad_manifest", signed(manifest=_twice)),
    "tag-file-in-payload-manifest": case(
        "the manifest lists the payload only",
        faults.CHECKING,
        "bad_manifest",
        signed(manifest=lambda text: text + b"".join(bag.manifest([(bag.DECLARATION, DECLARATION_SHA256)]))),
    ),
    "wrong-hash-signed": case("each file has its hash", faults.CHECKING, "changed", signed(manifest=_first_hash)),
    "other-tag-manifest": case(
        "the tag manifest is the signed one", faults.SIGNATURE, "changed", typed(tagmanifest_sha256="0" * 64)
    ),
    "changed-bag-info": case(
        "bag-info.txt has its hash", faults.BAG_INFO, "changed", replaced(bag.INFO, lambda text: text + b"Contact: x\n")
    ),
    "wrong-payload-oxum": case(
        "Payload-Oxum is the size and number of the payload files",
        faults.BAG_INFO,
        "count_mismatch",
        _info(lambda text: text.replace(b"Payload-Oxum: ", b"Payload-Oxum: 9")),
    ),
    "wrong-number-of-files": case(
        "`files` is the number of payload files", faults.SIGNATURE, "count_mismatch", typed(files=3)
    ),
    "wrong-size-of-payload": case(
        "`bytes` is the size of the payload files", faults.SIGNATURE, "count_mismatch", typed(bytes=1)
    ),
    "wrong-number-of-records": case(
        "a file has as many records as counts.json says", faults.COUNTS, "wrong_counts", _json(bag.COUNTS, _count(2))
    ),
    "counts-of-an-absent-file": case(
        "counts.json counts files of the volume",
        faults.COUNTS,
        "wrong_counts",
        _json(bag.COUNTS, lambda counts: counts["pieces"][0].update(path="data/account/absent.jsonl")),
    ),
    "wrong-sum-of-records": case(
        "the counts of all volumes are those of export.json", faults.COUNTS, "wrong_counts", _closing(_sum)
    ),
    "counts-are-not-numbers": case(
        "counts are numbers", faults.COUNTS, "wrong_counts", _json(bag.COUNTS, lambda counts: counts.update(pieces={}))
    ),
}
VOLUMES: Cases = {
    "missing-volume": case("each listed volume is there", faults.EXPORT, "missing_volume", _without(1)),
    "missing-closing-volume": case("there is a closing volume", faults.EXPORT, "missing_closing_volume", _without(2)),
    "foreign-volume": case("all volumes are of one export", faults.EXPORT, "foreign_volume", _foreign),
    "volume-that-is-not-listed": case("the closing volume lists each volume", faults.EXPORT, "extra_volume", _extra),
    "exchanged-volume": case("each volume is as listed", faults.EXPORT, "volume_changed", _exchanged),
    "closing-volume-of-another-export": case(
        "export.json is of the signed export",
        faults.EXPORT,
        "bad_closing",
        _closing(lambda document: document.update(export="another")),
    ),
    "closing-volume-without-itself": case(
        "the closing volume is last in its list",
        faults.EXPORT,
        "bad_closing",
        _closing(lambda document: document.update(volumes=[{"number": 1, "name": "export-x-001"}])),
    ),
    "closing-volume-without-export": case(
        "a closing volume has export.json", faults.EXPORT, "bad_closing", signed(tags={bag.EXPORT: b""})
    ),
    "other-export-than-offered": case(
        "the archive is of the export of transfer.jwt",
        "docs/receiving.md#what-it-does",
        "foreign_volume",
        lambda party: [made(replace(faults.draft(party), issuer=_other_export(party)))],
    ),
}
