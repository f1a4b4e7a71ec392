"""The verified volumes of an archive as folders: nothing is written before all is checked, and nothing outside.

Each volume is written into a folder with a name of its own that is renamed when all its files are there, so a folder
that has its volume's name is whole, and a run that was interrupted goes on with the next volume.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from archive import bag
from archive.check import CheckedVolume, Progress, check_volume
from archive.entries import Directory, Entry, Tape, read_directory, read_entry, skip_gap
from archive.faults import Fault, FaultCode, ZipFault
from archive.verify import verified, volume_paths
from portability.errors import BadInput
from portability.signing import Jwks
from receiver.faults import ArchiveRefused, ArchiveTooLarge

DEFLATE_RATIO = 1_032
"""Deflate gives no more than 258 bytes for 2 bits (RFC 1951 section 3.2.5)."""
SPARE_BYTES = 64 << 20
"""Left free on the disk, so that whatever else runs there goes on."""
UNFINISHED = ".unpacking-"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The bags, one folder for each volume, and what they hold in all: `files` and `bytes` are those of the payload."""

    folders: tuple[Path, ...]
    files: int
    bytes: int


def unpack(
    paths: Sequence[Path],
    jwks: Jwks,
    target: Path,
    *,
    expected: Mapping[str, str] | None = None,
    most_bytes: int | None = None,
    progress: Progress = lambda _: None,
) -> Unpacked:
    """Check volumes, given as ZIPs or as folders of them, and write each as a folder below `target`.

    `expected` are claims that every signature has to have. `most_bytes` bounds what all of them unpack to; the free
    space always does. `progress` is told of the bytes that were read of the ZIPs: each is read twice.

    Raises: BadInput (no volumes, or a folder in the way), ArchiveRefused, ArchiveTooLarge, OSError.
    """
    zips = volume_paths(paths)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_size(zips, target, most_bytes)
    volumes = check_all(zips, jwks, expected or {}, progress)
    folders = tuple(_unpacked(path, volume, target, progress) for path, volume in zip(zips, volumes, strict=True))
    return Unpacked(folders, sum(volume.files for volume in volumes), sum(volume.bytes for volume in volumes))


def check_all(
    zips: Sequence[Path], jwks: Jwks, expected: Mapping[str, str], progress: Progress = lambda _: None
) -> list[CheckedVolume]:
    """The volumes, of which nothing is wrong. Raises ArchiveRefused."""
    volumes = [check_volume(path, jwks, progress) for path in zips]
    errors = [*verified(volumes).errors]
    strangers = (v for v in volumes if any(getattr(v.claims, name, text) != text for name, text in expected.items()))
    detail = "it is not of the export that was offered"
    errors.extend(Fault(FaultCode.FOREIGN_VOLUME, volume.name, None, detail) for volume in strangers)
    if errors:
        raise refused(errors)
    return volumes


def refused(faults: Sequence[Fault]) -> ArchiveRefused:
    """The error that names the first fault and carries all."""
    first = faults[0]
    more = f" and {len(faults) - 1} faults more" if len(faults) > 1 else ""
    where = first.volume or "the whole"
    return ArchiveRefused(f"the archive does not verify: {first.code} in {where}{more}", faults=faults)


def _check_size(zips: Sequence[Path], target: Path, most_bytes: int | None) -> None:
    """By the directories alone, before a byte of content is read."""
    total_bytes = 0
    for path in zips:
        try:
            with path.open("rb") as file:
                directory = read_directory(file)
        except ZipFault as fault:
            raise refused([Fault(fault.code, path.name, None, fault.detail)]) from None
        _check_entries(path.name, directory)
        total_bytes += sum(entry.bytes for entry in directory.entries)
    room_bytes = shutil.disk_usage(target).free - SPARE_BYTES
    bound_bytes = room_bytes if most_bytes is None else min(room_bytes, most_bytes)
    if total_bytes > bound_bytes:
        raise ArchiveTooLarge(f"the archive unpacks to {total_bytes} bytes, there is room for {max(bound_bytes, 0)}")


def _check_entries(name: str, directory: Directory) -> None:
    """Whether the sizes are possible, and whether each file can stand in its folder."""
    files = {entry.name.lower() for entry in directory.entries}
    for entry in directory.entries:
        if entry.bytes > DEFLATE_RATIO * max(entry.packed_bytes, 1):
            raise ArchiveTooLarge(f"{name}: an entry of {entry.packed_bytes} bytes says that it has {entry.bytes}")
        if any(str(folder) in files for folder in PurePosixPath(entry.name.lower()).parents):
            raise refused([Fault(FaultCode.BAD_NAME, name, None, "a file lies where a folder has to be")])


def _unpacked(path: Path, volume: CheckedVolume, target: Path, progress: Progress) -> Path:
    """The folder of one volume; one that an earlier run has made stays."""
    folder, unfinished = target / volume.root, target / f"{UNFINISHED}{volume.root}"
    with path.open("rb") as file:
        directory = read_directory(file)
        if os.path.lexists(folder):
            if not _is_whole(folder, file, directory, volume):
                raise _in_the_way(folder)
            return folder
        if os.path.lexists(unfinished):
            if unfinished.is_symlink() or not unfinished.is_dir():
                raise _in_the_way(unfinished)
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        try:
            _write(file, directory, volume, unfinished, progress)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    unfinished.rename(folder)
    return folder


def _in_the_way(path: Path) -> BadInput:
    return BadInput(f"{path} is there already, and is not this volume", hint="name an empty folder, or remove it")


def _write(file: BinaryIO, directory: Directory, volume: CheckedVolume, folder: Path, progress: Progress) -> None:
    """Every entry of the volume; raises ArchiveRefused where the ZIP is no longer the one that was checked."""
    tape = Tape(file, progress=progress)
    made = {folder}
    try:
        for entry in directory.entries:
            skip_gap(tape, entry.offset)
            path = folder / _inside(entry, volume)
            _make_folders(path.parent, made)
            _write_file(path, read_entry(tape, entry))
        tape.skip_to(directory.size)
    except ZipFault as fault:
        raise refused([Fault(fault.code, volume.name, None, fault.detail)]) from None
    if tape.sha256() != volume.sha256:
        raise refused([Fault(FaultCode.CHANGED, volume.name, None, "it changed while it was unpacked")])


def _make_folders(folder: Path, made: set[Path]) -> None:
    """The folder and what it lies in, each for the owner alone: `parents=True` would leave theirs to the umask."""
    if folder not in made:
        _make_folders(folder.parent, made)
        folder.mkdir(mode=0o700)
        made.add(folder)


def _write_file(path: Path, blocks: Iterator[bytes]) -> None:
    # The folder is new and ours alone; still no link is followed and nothing is overwritten.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as out:
        for block in blocks:
            view = memoryview(block)
            while view:
                view = view[out.write(view) :]


def _is_whole(folder: Path, file: BinaryIO, directory: Directory, volume: CheckedVolume) -> bool:
    """Whether a folder has the files of the volume by name and size, and its signature byte by byte."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    for entry in directory.entries:
        path = folder / _inside(entry, volume)
        if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.bytes:
            return False
    signature = next(entry for entry in directory.entries if _inside(entry, volume) == bag.SIGNATURE)
    return (folder / bag.SIGNATURE).read_bytes() == b"".join(read_entry(Tape(file, signature.offset), signature))


def _inside(entry: Entry, volume: CheckedVolume) -> str:
    return entry.name.removeprefix(f"{volume.root}/")
