"""What a reader found in a ZIP: every member with its size and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

BLOCK_BYTES = 1 << 20


class ListedMember(NamedTuple):
    """One member; `sha256` is lower-case hex."""

    name: str
    bytes: int
    sha256: str


Listing: TypeAlias = tuple[ListedMember, ...]
"""All members of one ZIP, sorted."""


def measured(name: str, stream: IO[bytes]) -> ListedMember:
    """The entry of a member's whole content."""
    digest, size = hashlib.sha256(), 0
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    return ListedMember(name, size, digest.hexdigest())


def of_folder(folder: Path) -> Listing:
    """What a program unpacked, by path below the folder."""
    return listing(_measured_file(folder, path) for path in folder.rglob("*") if path.is_file())


def of_output(output: str) -> list[Listing]:
    """What the judges in other languages print: `sha256 bytes name` a line, an empty line after each ZIP."""
    return [listing(map(_parsed, block.split("\n"))) for block in output.removesuffix("\n\n").split("\n\n")]


def listing(entries: Iterable[ListedMember]) -> Listing:
    """In the order that all readers share."""
    return tuple(sorted(entries))


def _measured_file(folder: Path, path: Path) -> ListedMember:
    with path.open("rb") as file:
        return measured(path.relative_to(folder).as_posix(), file)


def _parsed(line: str) -> ListedMember:
    sha256, size, name = line.split(" ", 2)
    return ListedMember(name, int(size), sha256)
