"""Unpacks an archive's volumes: nothing is written before everything is verified, and nothing outside the target.

Each volume is written into a temporary folder that is renamed when all its files are there. So a folder with the name
of its volume is complete, and an interrupted run continues with the next volume.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from archive import bag
from archive.deflate import crc32
from archive.verify.archives import verified, volume_paths
from archive.verify.faults import ArchiveFault, FaultCode, ZipFault
from archive.verify.volumes import CheckedVolume, Progress, check_volume
from archive.verify.zip_entries import CentralDirectory, Tape, read_directory, read_entry, skip_gap
from portability.api.errors import BadInput
from portability.trust.signing import Jwks
from receiver.faults import ArchiveRefused, ArchiveTooLarge, ArchiveUnread, NoRoom
from receiver.verify.room import room_in

DEFLATE_RATIO = 1_032
"""Deflate expands 2 bits to at most 258 bytes (RFC 1951 section 3.2.5)."""
RATIO = 100
"""Without a limit of the caller an archive unpacks to at most this many times its size: its content is text and sound,
and rows of a platform pack to a tenth or a thirtieth."""
SMALL_BYTES = 64 << 20
"""An archive that unpacks to less is accepted with any ratio."""
MOST_BYTES = 1 << 38
"""Without a limit of the caller: 256 GiB."""
SPARE_BYTES = 64 << 20
"""Space left free on the disk for other programs."""
BLOCK_BYTES = 1 << 20
UNFINISHED = ".unpacking-"


@dataclass(frozen=True, slots=True)
class UnpackedVolumes:
    """The bags, one folder for each volume; `files` and `bytes` count their payload."""

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
) -> UnpackedVolumes:
    """Verify volumes, given as ZIPs or folders of ZIPs, and write each as a folder below `target`.

    `expected` are claims that every signature must have. `most_bytes` limits the unpacked size, without it RATIO and
    MOST_BYTES; the free space always does. `progress` is called with bytes read from the ZIPs: each is read twice.

    Raises: BadInput (no volumes, or a folder in the way), ArchiveRefused, ArchiveTooLarge, ArchiveUnread, OSError.
    """
    zips = volume_paths(paths)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_unfinished(target)
    _check_size(zips, target, most_bytes)
    volumes = check_all(zips, jwks, expected or {}, progress)
    with room_in(target):
        folders = tuple(_unpacked(path, volume, target, progress) for path, volume in zip(zips, volumes, strict=True))
    return UnpackedVolumes(folders, sum(volume.files for volume in volumes), sum(volume.bytes for volume in volumes))


def remove_unfinished(target: Path) -> None:
    """Remove folders that a killed run has left half unpacked."""
    for folder in target.glob(f"{UNFINISHED}*"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)


def check_all(
    zips: Sequence[Path], jwks: Jwks, expected: Mapping[str, str], progress: Progress = lambda _: None
) -> list[CheckedVolume]:
    """Return the verified volumes. Raises ArchiveRefused, ArchiveUnread."""
    volumes = [check_volume(path, jwks, progress) for path in zips]
    for path, volume in zip(zips, volumes, strict=True):
        for fault in volume.faults:
            if fault.code == FaultCode.UNREADABLE:
                raise ArchiveUnread(f"{path}: {fault.detail}")
    errors = [*verified(volumes).errors]
    foreign = (v for v in volumes if any(getattr(v.claims, name, text) != text for name, text in expected.items()))
    detail = "it does not belong to the offered export"
    errors.extend(ArchiveFault(FaultCode.FOREIGN_VOLUME, volume.name, None, detail) for volume in foreign)
    if errors:
        raise refused(errors)
    return volumes


def refused(faults: Sequence[ArchiveFault]) -> ArchiveRefused:
    """Return the error that names the first fault and contains all."""
    first = faults[0]
    more = f" and {len(faults) - 1} more faults" if len(faults) > 1 else ""
    where = first.volume or "the whole archive"
    return ArchiveRefused(f"the verification of the archive failed: {first.code} in {where}{more}", faults=faults)


def _check_size(zips: Sequence[Path], target: Path, most_bytes: int | None) -> None:
    """Check the sizes in the ZIP directories before any content is read."""
    total_bytes = 0
    for path in zips:
        try:
            with path.open("rb") as file:
                directory = read_directory(file)
        except ZipFault as fault:
            raise refused([ArchiveFault(fault.code, path.name, None, fault.detail)]) from None
        _check_entries(path.name, directory)
        total_bytes += sum(entry.bytes for entry in directory.entries)
    packed_bytes = sum(path.stat().st_size for path in zips)
    own_bound = min(max(RATIO * packed_bytes, SMALL_BYTES), MOST_BYTES)
    room_bytes = shutil.disk_usage(target).free - SPARE_BYTES
    allowed_bytes = most_bytes or own_bound
    unpacked = f"{packed_bytes} bytes unpack to {total_bytes} bytes, but the limit is"
    if total_bytes > allowed_bytes:
        raise ArchiveTooLarge(f"{unpacked} {allowed_bytes}")
    if total_bytes > room_bytes:
        raise NoRoom(f"{unpacked} {max(room_bytes, 0)}, the free space in {target}")


def _check_entries(name: str, directory: CentralDirectory) -> None:
    """Check that the sizes are possible, and that each file can exist in its folder."""
    files = {entry.name.lower() for entry in directory.entries}
    for entry in directory.entries:
        if entry.bytes > DEFLATE_RATIO * max(entry.packed_bytes, 1):
            raise ArchiveTooLarge(f"{name}: an entry of {entry.packed_bytes} bytes claims to unpack to {entry.bytes}")
        if any(str(folder) in files for folder in PurePosixPath(entry.name.lower()).parents):
            raise refused([ArchiveFault(FaultCode.BAD_NAME, name, None, "a file has the name of a folder")])


def _unpacked(path: Path, volume: CheckedVolume, target: Path, progress: Progress) -> Path:
    """Unpack one volume and return its folder; a folder of an earlier run stays."""
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
    return BadInput(f"{path} already exists and is not this volume", hint="use an empty folder, or remove it")


def _write(
    file: BinaryIO, directory: CentralDirectory, volume: CheckedVolume, folder: Path, progress: Progress
) -> None:
    """Write every entry of the volume. Raises ArchiveRefused if the ZIP has changed since its verification."""
    tape = Tape(file, progress=progress)
    existing = {folder}
    try:
        for entry in directory.entries:
            skip_gap(tape, entry.offset)
            path = folder / volume.inside(entry)
            _make_folders(path.parent, existing)
            _write_file(path, read_entry(tape, entry))
        tape.skip_to(directory.size)
    except ZipFault as fault:
        raise refused([ArchiveFault(fault.code, volume.name, None, fault.detail)]) from None
    if tape.sha256() != volume.sha256:
        raise refused([ArchiveFault(FaultCode.CHANGED, volume.name, None, "it changed while it was unpacked")])


def _make_folders(folder: Path, existing: set[Path]) -> None:
    """Make the folder and its parents with access for the owner only; `parents=True` would apply the umask."""
    if folder not in existing:
        _make_folders(folder.parent, existing)
        folder.mkdir(mode=0o700)
        existing.add(folder)


def _write_file(path: Path, blocks: Iterator[bytes]) -> None:
    # The folder is new and private; still, no link is followed and nothing is overwritten.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as out:
        for block in blocks:
            view = memoryview(block)
            while view:
                view = view[out.write(view) :]


def _check_sum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            total = crc32(block, total)
    return total


def _is_whole(folder: Path, file: BinaryIO, directory: CentralDirectory, volume: CheckedVolume) -> bool:
    """Return whether a folder has the volume's files by name, size and check sum, and exactly its signature."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    for entry in directory.entries:
        path = folder / volume.inside(entry)
        if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.bytes:
            return False
        # A disk may have damaged it since then: the import, which finds that, asks to unpack the volume again.
        if _check_sum(path) != entry.crc:
            return False
    signature = next(entry for entry in directory.entries if volume.inside(entry) == bag.SIGNATURE)
    return (folder / bag.SIGNATURE).read_bytes() == b"".join(read_entry(Tape(file, signature.offset), signature))
