from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import volumes

import archive.write.volume as volume_module
from archive.write.volume import Content, Volume
from portability.errors import VolumeFault

ROOT = "export-e1-001/"


def opened(path: Path) -> dict[str, bytes]:
    """Files by path in the bag, as the standard library reads them."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert all(name.startswith(ROOT) for name in archive.namelist())
        return {name.removeprefix(ROOT): archive.read(name) for name in archive.namelist()}


def new_volume(write: Any = None) -> Volume:
    return Volume(volumes.envelope(), 1, write or io.BytesIO().write)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """Each member is below data/, byte for byte, and in the returned order."""
    path, _ = volumes.write_volume(tmp_path)
    files = opened(path)
    for name, (body, _) in volumes.MEMBERS.items():
        assert files[f"data/{name}"] == body


def test_a_sealed_volume_says_what_was_written(tmp_path: Path) -> None:
    """Bytes, hashes and counts are those of the file."""
    path, sealed = volumes.write_volume(tmp_path)
    raw, files = path.read_bytes(), opened(path)
    assert sealed.name + ".zip" == path.name
    assert (sealed.bytes, sealed.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert sealed.tagmanifest_sha256 == hashlib.sha256(files["tagmanifest-sha256.txt"]).hexdigest()
    assert sealed.members == len(files)
    assert sealed.files == len(volumes.MEMBERS)
    assert sealed.payload_bytes == sum(len(body) for body, _ in volumes.MEMBERS.values())


def test_every_member_is_deflated_and_in_31_bits(tmp_path: Path) -> None:
    """Java's streaming reader refuses STORED with a descriptor, and ZIP64 of small members."""
    path, _ = volumes.write_volume(tmp_path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            assert (info.compress_type, info.extract_version, info.extra) == (zipfile.ZIP_DEFLATED, 20, b"")


def test_media_that_do_not_shrink_are_stored(tmp_path: Path) -> None:
    """No processor time goes where nothing is to be gained; uncompressed sound and tables are packed."""
    noise, plain = hashlib.shake_256(b"seed").digest(100_000), b"0123456789" * 10_000
    members = {"a.mp3": (noise, "audio/mpeg"), "a.wav": (plain, "audio/wav"), "a.jsonl": (plain, "application/jsonl")}
    path, _ = volumes.write_volume(tmp_path, members=members)
    with zipfile.ZipFile(path) as archive:
        sizes = {name: archive.getinfo(f"{ROOT}data/{name}").compress_size for name in members}
        assert archive.read(f"{ROOT}data/a.mp3") == noise
        assert archive.read(f"{ROOT}data/a.wav") == plain
    assert sizes["a.mp3"] > len(noise)
    assert max(sizes["a.wav"], sizes["a.jsonl"]) < len(plain) / 10


def test_blocks_leave_in_large_pieces() -> None:
    """Many small blocks reach `write` joined; what is counted is what has arrived in the end."""
    written: list[bytes] = []
    volume = new_volume(written.append)
    noise = hashlib.shake_256(b"seed").digest(3_000_000)
    blocks = (noise[at : at + 1000] for at in range(0, len(noise), 1000))
    volume.add("noise.bin", blocks, volumes.content("application/octet-stream"))
    assert volume.bytes_written > len(noise)
    sealed = volume.seal(volumes.KEY)
    assert all(len(block) >= 1 << 20 for block in written[:-1])
    assert sum(map(len, written)) == sealed.bytes == volume.bytes_written


def test_content_is_asked_for_after_the_last_block(tmp_path: Path) -> None:
    """Whether a File was cut, and which hash it has, is known only when it has ended."""
    order: list[str] = []

    def blocks() -> Iterator[bytes]:
        order.append("block")
        yield b"RIFF"

    def content(sha256: str) -> Content:
        assert sha256 == hashlib.sha256(b"RIFF").hexdigest()
        order.append("content")
        return replace(volumes.content("audio/wav"), state="truncated", file="c1.wav")

    path = tmp_path / "volume.zip"
    with path.open("wb") as file:
        volume = new_volume(file.write)
        member = volume.add("calls/c1.wav", blocks(), content, media_type="audio/wav")
        volume.seal(volumes.KEY)
    assert order == ["block", "content"]
    assert member.content.state == "truncated"
    (resource,) = json.loads(opened(path)["datapackage.json"])["resources"]
    assert (resource["x-state"], resource["x-file"]) == ("truncated", "c1.wav")


def test_a_hostile_path_is_made_safe_and_reported() -> None:
    """The volume itself makes names safe, so that no caller can forget it."""
    volume = new_volume()
    first = volume.add("../../x", [b"1"], volumes.content("text/plain"))
    second = volume.add("calls/A", [b"2"], volumes.content("text/plain"))
    third = volume.add("calls/a", [b"3"], volumes.content("text/plain"))
    paths = [first.path, second.path, third.path]
    assert all(path.startswith("data/") and ".." not in path for path in paths)
    assert len({path.lower() for path in paths}) == 3


def test_a_member_over_the_bound_poisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that grows past the bound would force ZIP64: its volume is thrown away."""
    monkeypatch.setattr(volume_module, "MEMBER_BYTES", 100)
    volume = new_volume()
    volume.add("fits", [b"x" * 100], volumes.content("text/plain"))
    with pytest.raises(VolumeFault, match="larger than 100 bytes"):
        volume.add("does-not", [b"x" * 101], volumes.content("text/plain"))
    with pytest.raises(VolumeFault, match="unusable after an error"):
        volume.seal(volumes.KEY)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_whatever_is_raised_poisons(error: type[BaseException]) -> None:
    """zipstream-ng would finish a valid ZIP without the broken member: here nothing continues."""

    def blocks() -> Iterator[bytes]:
        yield b"begin"
        raise error

    volume = new_volume()
    with pytest.raises(error):
        volume.add("broken", blocks(), volumes.content("text/plain"))
    with pytest.raises(VolumeFault):
        volume.add("next", [b""], volumes.content("text/plain"))
    with pytest.raises(VolumeFault):
        volume.seal(volumes.KEY)


def test_a_write_that_fails_poisons() -> None:
    """Storage that is full must not leave a volume that can be sealed."""

    def full(_block: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    volume = new_volume(full)
    volume.add("waits-in-memory", [b"small"], volumes.content("text/plain"))
    with pytest.raises(OSError, match="full"):
        volume.seal(volumes.KEY)
    with pytest.raises(VolumeFault):
        volume.seal(volumes.KEY)


def test_content_that_fails_poisons() -> None:
    """A member that nothing describes may not stay in a volume."""

    def content(_sha256: str) -> Content:
        raise ZeroDivisionError

    volume = new_volume()
    with pytest.raises(ZeroDivisionError):
        volume.add("undescribed", [b"x"], content)
    with pytest.raises(VolumeFault):
        volume.seal(volumes.KEY)


def test_a_member_cannot_be_added_inside_another() -> None:
    """Two members at once would mix their bytes."""
    volume = new_volume()

    def blocks() -> Iterator[bytes]:
        yield b"outer"
        volume.add("inner", [b"inner"], volumes.content("text/plain"))

    with pytest.raises(VolumeFault, match="being written"):
        volume.add("outer", blocks(), volumes.content("text/plain"))
    with pytest.raises(VolumeFault):
        volume.seal(volumes.KEY)


def test_nothing_follows_a_seal() -> None:
    """A sealed volume is never changed."""
    volume = new_volume()
    volume.seal(volumes.KEY)
    with pytest.raises(VolumeFault, match="sealed"):
        volume.add("late", [b""], volumes.content("text/plain"))
    with pytest.raises(VolumeFault, match="sealed"):
        volume.seal(volumes.KEY)


@pytest.mark.parametrize(
    "changes", [{"export": "e2"}, {"revision": 2}, {"format": "portability/2"}, {"volumes": []}, {"subject": None}]
)
def test_a_closing_document_of_another_export_poisons(changes: dict[str, Any]) -> None:
    """export.json and the signature say the same."""
    volume = new_volume()
    with pytest.raises(VolumeFault, match=next(iter(changes))):
        volume.seal(volumes.KEY, closing=volumes.closing_document(volumes.envelope(), 1) | changes)


def test_an_export_id_that_is_no_name() -> None:
    """The volume's folder has a safe name, or no volume is made."""
    with pytest.raises(VolumeFault, match="cannot be the name"):
        Volume(volumes.envelope("../e1"), 1, io.BytesIO().write)


def test_a_volume_without_data_has_a_payload(tmp_path: Path) -> None:
    """BagIt wants a payload folder and Data Package a resource (RFC 8493 section 2.1.2)."""
    path, sealed = volumes.write_volume(tmp_path, members={})
    files = opened(path)
    assert b"no data" in files["data/empty.txt"]
    assert sealed.files == 1
    assert [name for name in files if name.startswith("schemas/")] == []
    assert volumes.codes([path], partial=True) == set()


def test_the_bag_counts_its_siblings_in_the_closing_volume(tmp_path: Path) -> None:
    """`N of ?` while the total is unknown, `T of T` in the closing volume (RFC 8493 section 2.2.2)."""
    first, last = volumes.write_archive(tmp_path, 2)
    assert b"Bag-Count: 1 of ?\n" in opened(first)["bag-info.txt"]
    with zipfile.ZipFile(last) as archive:
        info = archive.read("export-e1-002/bag-info.txt").decode()
    total = sum(len(body) for body, _ in volumes.MEMBERS.values())
    assert f"Payload-Oxum: {total}.3\n" in info
    assert "Bag-Group-Identifier: export-e1\n" in info
    assert "Bag-Count: 2 of 2\n" in info
    assert "External-Identifier: e1\nBagging-Date: 2026-11-24\n" in info


def test_the_package_describes_every_member(tmp_path: Path) -> None:
    """Each payload file is a resource with size, hash, meaning and, where it is a table, a schema."""
    path, _ = volumes.write_volume(tmp_path)
    files = opened(path)
    resources = {resource["path"]: resource for resource in json.loads(files["datapackage.json"])["resources"]}
    assert resources.keys() == {f"data/{name}" for name in volumes.MEMBERS}
    assert len({resource["name"] for resource in resources.values()}) == len(resources)
    for name, resource in resources.items():
        assert resource["bytes"] == len(files[name])
        assert resource["hash"] == "sha256:" + hashlib.sha256(files[name]).hexdigest()
        assert (resource["x-exporter"], resource["x-dataset"]) == ("calls", "calls")
        assert (resource["x-provenance"], resource["x-role"]) == ("observed", "both")
    table = resources["data/calls/calls.csv"]["schema"]
    assert [field["type"] for field in table["fields"]] == ["string", "integer", "number"]
    assert table["primaryKey"] == ["id"]
    assert table["missingValues"] == [""]
    assert resources["data/calls/calls.jsonl"]["schema"] == {**table, "missingValues": []}
    assert resources["data/calls/calls.jsonl"]["x-json-schema"] in files
    assert "schema" not in resources["data/calls/recordings/c1.wav"]
    assert (
        resources["data/calls/calls.jsonl"]["x-records"],
        resources["data/calls/recordings/c1.wav"]["x-records"],
    ) == (
        2,
        None,
    )


def test_the_schema_describes_every_field(tmp_path: Path) -> None:
    """The meaning, the origin and the subject of every column are stated."""
    path, _ = volumes.write_volume(tmp_path)
    files = opened(path)
    schema = json.loads(files["schemas/calls/calls.schema.json"])
    resources = {resource["path"]: resource for resource in json.loads(files["datapackage.json"])["resources"]}
    columns = {column["name"]: column for column in resources["data/calls/calls.csv"]["schema"]["fields"]}
    assert schema["additionalProperties"] is False
    for field in volumes.CALLS.fields:
        described, column = schema["properties"][field.name], columns[field.name]
        assert described["description"] == column["description"] == field.description
        assert described["title"] == column["title"]
        assert column["x-provenance"] == field.provenance
        assert column["x-third-party"] is field.third_party
        assert "null" in str(described)


def test_the_bound_given_to_the_zip_writer_causes_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """zipstream-ng warns of each member smaller than its bound: that would be every line of the log."""
    with caplog.at_level(logging.WARNING):
        new_volume().add("small", [b"x"], volumes.content("text/plain"))
    assert caplog.records == []
