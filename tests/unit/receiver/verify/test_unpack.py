from __future__ import annotations

import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import volumes

from archive.verify.volumes import CheckedVolume, check_volume
from archive.verify.zip_entries import END, END64, ENTRIES, LOCATOR
from portability.api.errors import BadInput
from receiver.faults import ArchiveRefused, ArchiveTooLarge
from receiver.verify import unpack as unpacking
from receiver.verify.unpack import unpack

MIB = 1 << 20


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder; None is a folder."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def refused_archive(folder: Path, change: Callable[[dict[str, bytes]], object]) -> ArchiveRefused:
    """What is reported about an archive whose files were changed; files outside must stay as they were."""
    (folder / "in").mkdir()
    (path,) = volumes.write_archive(folder / "in")
    volumes.pack_again(path, change)
    before = tree(folder)
    with pytest.raises(ArchiveRefused) as caught:
        unpack([path], volumes.JWKS, folder / "out")
    after = tree(folder)
    assert after.pop("out", None) is None
    assert after == before
    return caught.value


def test_every_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """Two volumes become two folders, whose files are those that the standard library reads."""
    (tmp_path / "in").mkdir()
    paths = volumes.write_archive(tmp_path / "in", 2)

    result = unpack([tmp_path / "in"], volumes.JWKS, tmp_path / "out")

    assert [folder.name for folder in result.folders] == [path.stem for path in paths]
    expected = {}
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            expected.update({name: archive.read(name) for name in archive.namelist()})
    assert {name: body for name, body in tree(tmp_path / "out").items() if body is not None} == expected
    assert (result.files, result.bytes) == (6, 2 * sum(len(body) for body, _ in volumes.MEMBERS.values()))


def test_only_the_owner_may_read_what_comes_out(tmp_path: Path) -> None:
    """It is a person's data: no mode in an archive decides who can read it."""
    unpack(volumes.write_archive(tmp_path), volumes.JWKS, tmp_path / "out")

    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in (tmp_path / "out").rglob("*")}
    assert modes == {(True, 0o700), (False, 0o600)}


@pytest.mark.requirement("R36")
@pytest.mark.parametrize(
    "name",
    [
        "../../escaped.txt",
        "/etc/escaped.txt",
        "data/../../escaped.txt",
        "C:\\escaped.txt",
        "data\\escaped.txt",
        "data/CON",
        "data/nul.txt",
        "data/dot.",
        "data/calls/CALLS.csv",
        "data/calls/calls.csv/below",
        "data/a\nb.txt",
    ],
)
def test_dangerous_names_are_refused(tmp_path: Path, name: str) -> None:
    """Traversal, absolute and reserved names, twins by case, files that are folders: nothing is written anywhere."""
    assert refused_archive(tmp_path, lambda files: files.update({name: b"x"})).faults


def test_a_signed_file_that_is_a_folder_too_is_refused(tmp_path: Path) -> None:
    """Even a signed archive must not use one path for both."""
    members = {"calls/a": (b"x", "text/plain"), "calls/b": (b"y", "text/plain")}
    of = volumes.envelope()
    path, _ = volumes.write_volume(tmp_path, of=of, members=members, closing=volumes.closing_document(of, 1))
    raw = path.read_bytes()
    # Of the same length, in headers, directory and manifest; the signature breaks too, and is not even looked at.
    volumes.pack_again(path, lambda files: files.update({"data/calls/a/b": b"y"}))

    with pytest.raises(ArchiveRefused) as caught:
        unpack([path], volumes.JWKS, tmp_path / "out")
    assert [fault.code for fault in caught.value.faults] == ["bad_name"]
    assert raw != path.read_bytes()


def test_a_link_is_no_link(tmp_path: Path) -> None:
    """An entry whose mode says that it is a symbolic link is refused: its ZIP is not as we write it."""
    (path,) = volumes.write_archive(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo(f"{path.stem}/data/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")

    with pytest.raises(ArchiveRefused):
        unpack([path], volumes.JWKS, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.requirement("R38")
@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_an_archive_that_does_not_verify_is_not_unpacked(tmp_path: Path, change: str) -> None:
    """All volumes are checked before the first file is written, and the error carries what is wrong."""
    table = "data/calls/calls.csv"
    changes: dict[str, Callable[[dict[str, bytes]], object]] = {
        "changed": lambda files: files.update({table: b"id\r\n"}),
        "missing": lambda files: files.pop(table),
        "added": lambda files: files.update({"data/new.csv": b"id\r\n"}),
    }
    assert change in {fault.code for fault in refused_archive(tmp_path, changes[change]).faults}


def test_another_key_is_refused(tmp_path: Path) -> None:
    """An archive of an issuer that was not named stays packed."""
    with pytest.raises(ArchiveRefused):
        unpack(volumes.write_archive(tmp_path), volumes.key_set(volumes.new_key()), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def bomb(folder: Path, size: int) -> Path:
    """A volume that its issuer signed and that unpacks to `size` bytes of nothing."""
    of = volumes.envelope()
    members = {"calls/recordings/c1.wav": (bytes(size), "text/plain")}
    return volumes.write_volume(folder, of=of, members=members, closing=volumes.closing_document(of, 1))[0]


def test_a_signed_bomb_meets_the_bound(tmp_path: Path) -> None:
    """A signature makes nothing small: the bound counts what the directories say, before anything is read."""
    path = bomb(tmp_path, 200 * MIB)
    assert path.stat().st_size < 2 * MIB

    with pytest.raises(ArchiveTooLarge):
        unpack([path], volumes.JWKS, tmp_path / "out", most_bytes=100 * MIB)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RATIO", "MOST_BYTES"])
def test_a_signed_bomb_is_refused_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Seen: 1.6 MB became 1.57 GB. The ratio of the whole archive and its size are bounded; a caller can allow more."""
    path = bomb(tmp_path, 100 * MIB)
    if name == "MOST_BYTES":
        monkeypatch.setattr(unpacking, "RATIO", 10_000)
        monkeypatch.setattr(unpacking, "MOST_BYTES", 99 * MIB)

    with pytest.raises(ArchiveTooLarge, match="but the limit is"):
        unpack([path], volumes.JWKS, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert unpack([path], volumes.JWKS, tmp_path / "out", most_bytes=101 * MIB).bytes == 100 * MIB


def test_free_space_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk is never filled to its end."""
    monkeypatch.setattr(unpacking, "SPARE_BYTES", shutil.disk_usage(tmp_path).total)

    with pytest.raises(ArchiveTooLarge, match="but the limit is"):
        unpack(volumes.write_archive(tmp_path), volumes.JWKS, tmp_path / "out")


def test_a_megabyte_that_says_it_is_a_terabyte_is_refused(tmp_path: Path) -> None:
    """No deflate stream expands that much: the sizes are false, even if signed."""
    path = bomb(tmp_path, MIB)
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x07\x08", 12)):
        begin = -1
        while (begin := raw.find(signature, begin + 1)) >= 0:
            raw[begin + at : begin + at + 4] = struct.pack("<L", 0xFFFFFF00)
    path.write_bytes(raw)

    with pytest.raises(ArchiveTooLarge, match="claims to unpack to"):
        unpack([path], volumes.JWKS, tmp_path / "out")


def test_a_manifest_that_lies_is_refused(tmp_path: Path) -> None:
    """Hashes of files that are not there, or of others."""
    lie = b"0" * 64 + b"  data/calls/calls.csv\n"

    assert {
        fault.code
        for fault in refused_archive(tmp_path, lambda files: files.update({"manifest-sha256.txt": lie})).faults
    }


def directory_of(path: Path, entries: int) -> None:
    """A ZIP that is a directory of nameless entries and nothing else."""
    record = b"PK\x01\x02" + bytes(42)
    size = entries * len(record)
    end64 = END64.pack(b"PK\x06\x06", END64.size - 12, 45, 45, 0, 0, entries, entries, size, 0)
    locator = LOCATOR.pack(b"PK\x06\x07", 0, size, 1)
    end = END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, min(size, 0xFFFFFFFF), 0, 0)
    with path.open("wb") as file:
        file.write(record * entries if entries <= 2 * ENTRIES else b"")
        file.truncate(size)
        file.seek(size)
        file.write(end64 + locator + end)


@pytest.mark.parametrize("entries", [ENTRIES + 1, 10_000_000])
def test_ten_million_entries_are_refused(tmp_path: Path, entries: int) -> None:
    """The number alone refuses them: no memory is spent on what they are."""
    path = tmp_path / "many.zip"
    directory_of(path, entries)
    tracemalloc.start()

    with pytest.raises(ArchiveRefused) as caught:
        unpack([path], volumes.JWKS, tmp_path / "out")

    assert [fault.code for fault in caught.value.faults] == ["too_large"]
    assert tracemalloc.get_traced_memory()[1] < 10 * MIB
    tracemalloc.stop()


def test_a_run_that_was_interrupted_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is whole stays and is not written again; what a killed run left unfinished is thrown away."""
    paths = volumes.write_archive(tmp_path, 3)
    out = tmp_path / "out"
    write, written = unpacking._write, list[str]()

    def interrupted(*arguments: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append("first")
        write(*arguments)  # type: ignore[arg-type]  # passed on as they came

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unpack(paths, volumes.JWKS, out)
    assert [path.name for path in out.iterdir()] == [paths[0].stem]
    first = (out / paths[0].stem).stat()
    killed = out / f"{unpacking.UNFINISHED}{paths[1].stem}"
    (killed / "data").mkdir(parents=True)
    (killed / "data" / "half").write_bytes(b"x")

    result = unpack(paths, volumes.JWKS, out)

    assert sorted(path.name for path in out.iterdir()) == [path.stem for path in paths]
    assert (out / paths[0].stem).stat().st_ino == first.st_ino
    assert not (result.folders[1] / "data" / "half").exists()


@pytest.mark.parametrize("obstacle", ["file", "folder", "link", "unfinished", "damaged", "changed"])
def test_what_is_in_the_way_stays(tmp_path: Path, obstacle: str) -> None:
    """Something of that name that is not this volume is not overwritten, and no link is followed."""
    (path,) = volumes.write_archive(tmp_path)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    place = out / path.stem
    if obstacle == "file":
        place.write_text("mine")
    elif obstacle == "folder":
        place.mkdir()
    elif obstacle == "link":
        place.symlink_to(elsewhere)
    elif obstacle == "unfinished":
        (out / f"{unpacking.UNFINISHED}{path.stem}").symlink_to(elsewhere)
    else:
        unpack([path], volumes.JWKS, out)
        file = place / "data" / "calls" / "calls.csv"
        file.write_bytes(file.read_bytes()[:3] if obstacle == "damaged" else bytes(file.stat().st_size))
    before = tree(tmp_path)

    with pytest.raises(BadInput, match="already exists"):
        unpack([path], volumes.JWKS, out)
    assert tree(tmp_path) == before


def test_a_zip_that_changes_after_its_check_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is what was checked, even if the file is replaced in between."""
    (path,) = volumes.write_archive(tmp_path)
    other = volumes.write_archive(tmp_path, of=volumes.envelope("e2"))[0].read_bytes()

    def swapped(*arguments: object, **named: object) -> CheckedVolume:
        found = check_volume(*arguments, **named)  # type: ignore[arg-type]  # passed on as they came
        path.write_bytes(other)
        return found

    monkeypatch.setattr(unpacking, "check_volume", swapped)
    with pytest.raises(ArchiveRefused):
        unpack([path], volumes.JWKS, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_counts_every_byte_twice(tmp_path: Path) -> None:
    """Once for the check and once for the unpacking: a bar can know its end."""
    paths = volumes.write_archive(tmp_path, 2)
    seen: list[int] = []

    unpack(paths, volumes.JWKS, tmp_path / "out", progress=seen.append)

    assert sum(seen) == 2 * sum(path.stat().st_size for path in paths)
