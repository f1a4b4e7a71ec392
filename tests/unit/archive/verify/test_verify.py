from __future__ import annotations

import os
import struct
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import volumes
from joserfc import jws
from judges.programs import program, run

from archive.counts import DatasetCount
from archive.parts import ArchiveBrand
from archive.verify.archives import verify
from archive.verify.faults import FaultCode
from archive.verify.volumes import TRUSTED_RATIO
from archive.verify.zip_entries import Tape, read_directory
from portability.api import JSON
from portability.api.errors import BadInput
from portability.trust.signing import Jwks

Broken = tuple[Sequence[Path], Jwks]
BREAKERS: dict[str, Callable[[Path], Broken]] = {}
"""By code: makes an archive that has this fault."""


def breaks(code: FaultCode) -> Callable[[Callable[[Path], Broken]], Callable[[Path], Broken]]:
    def register(breaker: Callable[[Path], Broken]) -> Callable[[Path], Broken]:
        BREAKERS[f"{code}: {breaker.__name__.strip('_')}"] = breaker
        return breaker

    return register


CLOSING = volumes.closing_document(volumes.envelope(), 1)


def one_volume(folder: Path) -> Path:
    """A whole archive of one volume."""
    return volumes.write_archive(folder)[0]


def packed_again(folder: Path, change: Callable[[dict[str, bytes]], object]) -> Broken:
    path = one_volume(folder)
    volumes.pack_again(path, change)
    return [path], volumes.JWKS


@breaks(FaultCode.CHANGED)
def _payload_is_changed(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"data/calls/calls.csv": b"id\r\nc3\r\n"}))


@breaks(FaultCode.CHANGED)
def _readme_is_changed(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"README.html": b"<p>write to elsewhere.example</p>"}))


@breaks(FaultCode.CHANGED)
def _tag_manifest_is_changed(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"tagmanifest-sha256.txt": b"0" * 64 + b"  README.html\n"}))


@breaks(FaultCode.CHANGED)
def _compressed_data_is_damaged(folder: Path) -> Broken:
    path = one_volume(folder)
    raw = bytearray(path.read_bytes())
    raw[80:90] = b"\xff" * 10
    path.write_bytes(raw)
    return [path], volumes.JWKS


@breaks(FaultCode.MISSING)
def _payload_is_missing(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.pop("data/calls/recordings/c1.wav"))


@breaks(FaultCode.MISSING)
def _signature_is_missing(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.pop("signature.jwt"))


@breaks(FaultCode.MISSING)
def _manifest_is_missing(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.pop("manifest-sha256.txt"))


@breaks(FaultCode.ADDED)
def _payload_is_added(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"data/calls/extra.csv": b"id\r\n"}))


@breaks(FaultCode.ADDED)
def _file_is_planted_at_the_root(folder: Path) -> Broken:
    """bagit.py itself does not detect this file."""
    return packed_again(folder, lambda files: files.update({"index.html": b"<script>"}))


@breaks(FaultCode.ADDED)
def _file_is_appended_in_place(folder: Path) -> Broken:
    path = one_volume(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("export-e1-001/data/late.csv", b"id\r\n")
    return [path], volumes.JWKS


@breaks(FaultCode.RENAMED)
def _payload_is_renamed(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"data/calls/c9.wav": files.pop("data/calls/calls.csv")}))


@breaks(FaultCode.REPACKED)
def _zip_is_packed_again(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files)


@breaks(FaultCode.HIDDEN_ENTRY)
def _entry_is_in_no_directory(folder: Path) -> Broken:
    path = one_volume(folder)
    name = b"export-e1-001/data/x.csv"
    volumes.insert_before_directory(
        path, struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 2, 2, len(name), 0) + name + b"hi"
    )
    return [path], volumes.JWKS


@breaks(FaultCode.STRAY_BYTES)
def _bytes_belong_to_no_entry(folder: Path) -> Broken:
    path = one_volume(folder)
    volumes.insert_before_directory(path, b"secret")
    return [path], volumes.JWKS


@breaks(FaultCode.STRAY_BYTES)
def _bytes_come_before_the_zip(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    return [path], volumes.JWKS


@breaks(FaultCode.STRAY_BYTES)
def _bytes_come_after_the_zip(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(path.read_bytes() + b"more")
    return [path], volumes.JWKS


@breaks(FaultCode.STRAY_BYTES)
def _zip_has_a_comment(folder: Path) -> Broken:
    path = one_volume(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    return [path], volumes.JWKS


@breaks(FaultCode.DUPLICATE_ENTRY)
def _name_is_there_twice(folder: Path) -> Broken:
    path = one_volume(folder)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("export-e1-001/README.html", b"another")
    return [path], volumes.JWKS


@breaks(FaultCode.DUPLICATE_ENTRY)
def _name_has_a_case_twin(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"data/calls/CALLS.csv": b"another"}))


@breaks(FaultCode.HEADER_MISMATCH)
def _local_header_names_another_file(folder: Path) -> Broken:
    path = one_volume(folder)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"calls/calls.csv", b"calls/calls.exe", 1))
    return [path], volumes.JWKS


@breaks(FaultCode.HEADER_MISMATCH)
def _entries_overlap(folder: Path) -> Broken:
    path = one_volume(folder)
    raw = bytearray(path.read_bytes())
    (offset,) = struct.unpack_from("<L", raw, len(raw) - 6)
    second = raw.index(b"PK\x01\x02", offset + 4)
    struct.pack_into("<L", raw, second + 42, 10)
    path.write_bytes(raw)
    return [path], volumes.JWKS


@breaks(FaultCode.HEADER_MISMATCH)
def _number_of_entries_is_wrong(folder: Path) -> Broken:
    path = one_volume(folder)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2H", raw, len(raw) - 14, 3, 3)
    path.write_bytes(raw)
    return [path], volumes.JWKS


@breaks(FaultCode.BAD_NAME)
def _name_climbs_out(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"data/../../../etc/cron.d/x": b"* * * * *"}))


@breaks(FaultCode.BAD_NAME)
def _folder_is_renamed(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(path.read_bytes().replace(b"export-e1-001/", b"export-e1-002/"))
    return [path], volumes.JWKS


@breaks(FaultCode.BAD_NAME)
def _prefix_is_not_one(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(path.read_bytes().replace(b"export-e1-001/", b"Export-e1-001/"))
    return [path], volumes.JWKS


@breaks(FaultCode.REPACKED)
def _prefix_is_another_one(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(path.read_bytes().replace(b"export-e1-001/", b"expert-e1-001/"))
    return [path], volumes.JWKS


@breaks(FaultCode.TOO_LARGE)
def _unsigned_bomb(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"data/bomb": b"\0" * 50_000_000}))


@breaks(FaultCode.TOO_LARGE)
def _huge_signature(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"signature.jwt": os.urandom(100_000)}))


@breaks(FaultCode.BAD_MANIFEST)
def _manifest_lists_a_file_twice(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"manifest-sha256.txt": files["manifest-sha256.txt"] * 2}))


@breaks(FaultCode.BAD_MANIFEST)
def _manifest_is_no_text(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"manifest-sha256.txt": b"\xff\xfe"}))


@breaks(FaultCode.BAD_MANIFEST)
def _manifest_lists_a_tag_file(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"manifest-sha256.txt": b"0" * 64 + b"  README.html\n"}))


@breaks(FaultCode.COUNT_MISMATCH)
def _fewer_files_than_signed(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.pop("data/calls/calls.csv"))


@breaks(FaultCode.BAD_CLAIMS)
def _claims_lack_one(folder: Path) -> Broken:
    token = jws.serialize_compact(
        {"alg": "ES256", "kid": "archive-1", "typ": "portability-archive+jwt"}, b'{"iat":1}', volumes.KEY
    )
    return packed_again(folder, lambda files: files.update({"signature.jwt": token.encode()}))


@breaks(FaultCode.MALFORMED_JWS)
def _signature_is_garbage(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"signature.jwt": b"a.b.c"}))


@breaks(FaultCode.MALFORMED_JWS)
def _signature_is_empty(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"signature.jwt": b""}))


@breaks(FaultCode.BAD_SIGNATURE)
def _another_key_of_the_same_id(folder: Path) -> Broken:
    return [one_volume(folder)], volumes.key_set(volumes.new_key())


@breaks(FaultCode.UNKNOWN_KEY)
def _key_is_not_published(folder: Path) -> Broken:
    return [one_volume(folder)], volumes.key_set(volumes.new_key("other"))


@breaks(FaultCode.REVOKED_KEY)
def _key_is_revoked(folder: Path) -> Broken:
    return [one_volume(folder)], volumes.key_set(revoked_at="2030-01-01T00:00:00Z")


@breaks(FaultCode.SIGNED_AFTER_RETIREMENT)
def _key_had_retired(folder: Path) -> Broken:
    return [one_volume(folder)], volumes.key_set(retired_at="2020-01-01T00:00:00Z")


@breaks(FaultCode.FORBIDDEN_ALGORITHM)
def _algorithm_is_none(folder: Path) -> Broken:
    return packed_again(folder, lambda files: files.update({"signature.jwt": b"eyJhbGciOiJub25lIn0.e30."}))


@breaks(FaultCode.WRONG_TYPE)
def _signature_is_a_link(folder: Path) -> Broken:
    token = jws.serialize_compact({"alg": "ES256", "kid": "archive-1", "typ": "JWT"}, b"{}", volumes.KEY)
    return packed_again(folder, lambda files: files.update({"signature.jwt": token.encode()}))


@breaks(FaultCode.TRUNCATED_ZIP)
def _download_broke_off(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return [path], volumes.JWKS


@breaks(FaultCode.TRUNCATED_ZIP)
def _bytes_are_cut_out(folder: Path) -> Broken:
    path = one_volume(folder)
    raw = path.read_bytes()
    path.write_bytes(raw[:200] + raw[300:])
    return [path], volumes.JWKS


@breaks(FaultCode.NOT_A_ZIP)
def _it_is_a_page(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(b"<html>link expired</html>")
    return [path], volumes.JWKS


@breaks(FaultCode.NOT_A_ZIP)
def _it_is_empty(folder: Path) -> Broken:
    path = one_volume(folder)
    path.write_bytes(b"")
    return [path], volumes.JWKS


@breaks(FaultCode.UNREADABLE)
def _it_cannot_be_opened(folder: Path) -> Broken:
    path = one_volume(folder)

    class Unreadable(type(path)):  # type: ignore[misc]  # the class of paths depends on the system
        def open(self, *_args: object, **_kwargs: object) -> object:
            raise PermissionError

        def resolve(self, strict: bool = False) -> Path:  # noqa: ARG002 - as the method that it stands for
            return self

    return [Unreadable(path)], volumes.JWKS


@breaks(FaultCode.FOREIGN_VOLUME)
def _volume_of_another_export(folder: Path) -> Broken:
    paths = volumes.write_archive(folder, 2)
    return [*paths, volumes.write_volume(folder, 1, of=volumes.envelope("e2"))[0]], volumes.JWKS


@breaks(FaultCode.MISSING_VOLUME)
def _volume_is_missing(folder: Path) -> Broken:
    return volumes.write_archive(folder, 3)[1:], volumes.JWKS


@breaks(FaultCode.MISSING_CLOSING_VOLUME)
def _closing_volume_is_missing(folder: Path) -> Broken:
    return volumes.write_archive(folder, 3)[:-1], volumes.JWKS


@breaks(FaultCode.EXTRA_VOLUME)
def _volume_is_not_listed(folder: Path) -> Broken:
    paths = volumes.write_archive(folder, 2)
    return [*paths, volumes.write_volume(folder, 7)[0]], volumes.JWKS


@breaks(FaultCode.EXTRA_VOLUME)
def _volume_is_there_twice(folder: Path) -> Broken:
    paths = volumes.write_archive(folder, 2)
    copy = folder / "copy.zip"
    copy.write_bytes(paths[0].read_bytes())
    return [*paths, copy], volumes.JWKS


@breaks(FaultCode.VOLUME_CHANGED)
def _volume_of_another_attempt(folder: Path) -> Broken:
    """Signed by us, with the right number, but the wrong volume."""
    paths = volumes.write_archive(folder, 2)
    volumes.write_volume(folder, 1, members={"calls/other.jsonl": (b"{}\n", "application/jsonl")})
    return paths, volumes.JWKS


@breaks(FaultCode.BAD_CLOSING)
def _list_does_not_end_with_itself(folder: Path) -> Broken:
    lines = volumes.closing_document(volumes.envelope(), 1)
    lines["volumes"] = [{"number": 2, "name": "export-e1-002"}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("archive.write.volume.Volume._check_closing", lambda _self, _closing: None)
        return [volumes.write_volume(folder, closing=lines)[0]], volumes.JWKS


@breaks(FaultCode.BAD_CLOSING)
def _document_is_of_another_revision(folder: Path) -> Broken:
    lines = volumes.closing_document(volumes.envelope(), 1, revision=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("archive.write.volume.Volume._check_closing", lambda _self, _closing: None)
        return [volumes.write_volume(folder, closing=lines)[0]], volumes.JWKS


@breaks(FaultCode.WRONG_COUNTS)
def _a_dataset_has_fewer_records_than_stated(folder: Path) -> Broken:
    counted = [DatasetCount("calls", "calls", records=3, files=1)]
    return [volumes.write_volume(folder, counted=counted, closing=CLOSING)[0]], volumes.JWKS


@breaks(FaultCode.WRONG_COUNTS)
def _counts_are_no_counts(folder: Path) -> Broken:
    counted = [DatasetCount("calls", "calls", records=-2)]
    return [volumes.write_volume(folder, counted=counted, closing=CLOSING)[0]], volumes.JWKS


@breaks(FaultCode.WRONG_COUNTS)
def _ledger_has_more_than_the_volumes(folder: Path) -> Broken:
    right = DatasetCount("calls", "calls", records=2, files=1, bytes=100)
    ledger: dict[str, JSON] = {
        "exporter": "calls",
        "dataset": "calls",
        "title": "Calls",
        "state": "complete",
        "gaps": 0,
    }
    lines: dict[str, JSON] = {
        **CLOSING,
        "datasets": [{**ledger, "records": 3, "files": 1, "bytes": 100, "corrections": 0}],
    }
    lines["volumes"] = [{"number": 1, "name": "export-e1-001", "counts": [right.to_json()]}]
    return [volumes.write_volume(folder, counted=[right], closing=lines)[0]], volumes.JWKS


@pytest.mark.parametrize("count", [1, 3])
def test_a_whole_archive_verifies(tmp_path: Path, count: int) -> None:
    """For one volume or several, by file or by folder."""
    paths = volumes.write_archive(tmp_path, count)
    result = verify([tmp_path], volumes.JWKS)
    payload = sum(len(body) for body, _ in volumes.MEMBERS.values())
    assert (result.ok, result.errors) == (True, ())
    assert (result.volumes, result.files, result.bytes) == (count, 3 * count, payload * count)
    assert volumes.codes(list(reversed(paths))) == set()


@pytest.mark.parametrize("name", BREAKERS)
def test_each_fault_is_named(tmp_path: Path, name: str) -> None:
    """Every fault has a code, and nothing with a fault verifies."""
    paths, jwks = BREAKERS[name](tmp_path)
    assert name.partition(":")[0] in volumes.codes(paths, jwks)


def test_every_code_is_proved() -> None:
    """A code without a broken archive that shows it is a promise without a proof."""
    assert {name.split(":")[0] for name in BREAKERS} == {str(code) for code in FaultCode}


def test_every_code_is_documented() -> None:
    """docs/archive-format.md lists each code once, in a table."""
    text = (Path(__file__).parents[4] / "docs" / "archive-format.md").read_text("utf-8")
    assert [code for code in FaultCode if text.count(f"| `{code}` |") != 1] == []


@pytest.mark.parametrize(
    "name",
    ["payload_is_changed", "payload_is_missing", "payload_is_added", "payload_is_renamed", "zip_is_packed_again"],
)
def test_one_change_names_one_file(tmp_path: Path, name: str) -> None:
    """A reader learns what is wrong, and is not buried under its consequences."""
    breaker = next(breaker for key, breaker in BREAKERS.items() if key.endswith(name))
    errors = verify(*breaker(tmp_path)).errors
    assert [error.code for error in errors if error.code is not FaultCode.COUNT_MISMATCH] == [
        name.split("_is_")[1] if name.startswith("payload") else "repacked"
    ]


def test_volumes_without_the_closing_one_verify_as_a_part(tmp_path: Path) -> None:
    """`partial` says that volumes are known to be absent; nothing else is forgiven."""
    paths = volumes.write_archive(tmp_path, 3)
    assert volumes.codes(paths[:1], partial=True) == set()
    assert volumes.codes(paths[2:], partial=True) == set()
    foreign = volumes.write_archive(tmp_path, of=volumes.envelope("e2"))
    assert volumes.codes([paths[0], *foreign], partial=True) == {"foreign_volume"}


def test_a_damaged_volume_is_not_also_missing(tmp_path: Path) -> None:
    """One cause gives one fault."""
    paths = volumes.write_archive(tmp_path, 2)
    volumes.pack_again(paths[0], lambda files: files.update({"signature.jwt": b"a.b.c"}))
    assert volumes.codes(paths) == {"malformed_jws"}
    paths[0].write_bytes(paths[0].read_bytes()[:-10])
    assert volumes.codes(paths) == {"truncated_zip"}


def test_a_later_revision_supersedes_the_closing_volume(tmp_path: Path) -> None:
    """`retry --gaps` adds volumes and a new closing volume, and keeps what was stored."""
    first_path, first = volumes.write_volume(tmp_path, 1, closing=volumes.closing_document(volumes.envelope(), 1))
    again = volumes.envelope(revision=2)
    second_path, _ = volumes.write_volume(tmp_path, 2, of=again, closing=volumes.closing_document(again, 2, [first]))
    assert volumes.codes([first_path, second_path]) == set()
    assert volumes.codes([first_path]) == set()
    assert volumes.codes([second_path]) == {"missing_volume"}


@pytest.mark.requirement("R39")
def test_a_rotated_key_still_verifies(tmp_path: Path) -> None:
    """A retired key stays published: old archives keep their proof."""
    path, old = one_volume(tmp_path), volumes.KEY
    keys = [
        {**old.as_dict(private=False), "retired_at": "2100-01-01T00:00:00Z"},
        volumes.new_key("archive-2").as_dict(),
    ]
    assert volumes.codes([path], Jwks.parse({"keys": keys})) == set()


def test_nothing_to_check_is_bad_input(tmp_path: Path) -> None:
    """An empty folder, an absent file and no path at all verify nothing, and must not look as if they did."""
    for paths in ([tmp_path], [tmp_path / "absent.zip"], []):
        with pytest.raises(BadInput):
            verify(paths, volumes.JWKS)


def test_a_copy_of_the_closing_volume_is_only_said_to_be_there_twice(tmp_path: Path) -> None:
    """The list has no hash of the closing volume itself: no copy of it differs from the list."""
    path = one_volume(tmp_path)
    copy = tmp_path / "copy.zip"
    copy.write_bytes(path.read_bytes())
    found = verify([path, copy], volumes.JWKS).errors
    assert [(fault.code, fault.volume, fault.detail) for fault in found] == [
        ("extra_volume", "copy.zip", f"{path.name} is volume 1 already")
    ]


def test_a_volume_named_twice_is_checked_once(tmp_path: Path) -> None:
    """The folder and a file in it may both be named."""
    path = one_volume(tmp_path)
    assert verify([path, tmp_path], volumes.JWKS).volumes == 1


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    """A progress bar reaches its end."""
    paths = volumes.write_archive(tmp_path, 2)
    read: list[int] = []
    verify(paths, volumes.JWKS, progress=read.append)
    assert sum(read) == sum(path.stat().st_size for path in paths)


def test_a_signed_volume_may_pack_well(tmp_path: Path) -> None:
    """The limit of unpacking is for unsigned content: a million equal lines are not a bomb."""
    members = {"calls/calls.jsonl": (b"{}\n" * 10_000_000, "application/jsonl")}
    path, sealed = volumes.write_volume(tmp_path, members=members)
    assert sealed.payload_bytes > TRUSTED_RATIO * sealed.bytes
    assert volumes.codes([path], partial=True) == set()


def test_a_file_that_ends_while_it_is_read(tmp_path: Path) -> None:
    """A file that shrinks under the reader is truncated, not a crash."""
    path = one_volume(tmp_path)
    with path.open("rb") as file:
        directory = read_directory(file)
        tape = Tape(file)
        with pytest.raises(Exception, match="ends at byte"):
            tape.skip_to(directory.size + 1)


@pytest.mark.parametrize("prefix", ["acme", "a-1", "vlint-export", "x" * 20])
def test_an_issuer_chooses_what_names_begin_with(tmp_path: Path, prefix: str) -> None:
    """All of an archive's volumes verify under any prefix that a setting may have."""
    of = replace(volumes.envelope(), brand=ArchiveBrand(prefix=prefix))
    paths = volumes.write_archive(tmp_path, 2, of=of)

    assert [path.name for path in paths] == [f"{prefix}-e1-001.zip", f"{prefix}-e1-002.zip"]
    assert verify(paths, volumes.JWKS).ok


@pytest.mark.parametrize(
    "packing",
    [
        lambda: [program("zip", package="zip"), "-qr"],
        lambda: [program("7z", package="7zip"), "a", "-tzip", "-bso0"],
        lambda: [program("bsdtar", package="libarchive-tools"), "-a", "-cf"],
        lambda: [sys.executable, "-m", "zipfile", "-c"],
    ],
    ids=["zip", "7z", "bsdtar", "python"],
)
def test_an_archive_that_another_program_packed_again_has_one_fault(
    tmp_path: Path, packing: Callable[[], Sequence[str]]
) -> None:
    """These programs add entries for folders, which hide nothing: the files are as signed, and the count is right."""
    path = one_volume(tmp_path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
        files = len([name for name in archive.namelist() if name.startswith("export-e1-001/data/")])
    path.unlink()
    run([*packing(), path.name, "export-e1-001"], cwd=tmp_path)

    found = verify([path], volumes.JWKS)

    with zipfile.ZipFile(path) as archive:
        assert "export-e1-001/data/calls/" in archive.namelist()
    assert [(fault.code, fault.file) for fault in found.errors] == [(FaultCode.REPACKED, None)]
    assert found.files == files


@pytest.mark.parametrize("extra", ["export-e1-001/data/empty/", "elsewhere/", "export-e1-001/data/../"])
def test_a_folder_without_files_is_a_bad_name(tmp_path: Path, extra: str) -> None:
    """Only the folders of files are left out."""
    path = one_volume(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(extra, b"")
    assert FaultCode.BAD_NAME in {fault.code for fault in verify([path], volumes.JWKS).errors}


def test_a_damaged_volume_may_be_the_closing_volume(tmp_path: Path) -> None:
    """Where a file cannot be read, no sentence says that the closing volume is not among the files."""
    whole = volumes.write_archive(tmp_path, 2)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(whole[1].read_bytes()[:-50])
    said = {
        name: next(
            fault.detail for fault in verify(paths, volumes.JWKS).errors if fault.code == "missing_closing_volume"
        )
        for name, paths in {"absent": whole[:1], "damaged": [whole[0], damaged]}.items()
    }
    assert said["absent"].endswith("is not among these files")
    assert said["damaged"].endswith("is not among the files whose content could be verified")
