"""Payload files of an unpacked archive: tables by the piece, and files in one or several parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from receiver.faults import ArchiveUnread
from receiver.importer.faults import BadArchive

BLOCK_BYTES = 1 << 20


@contextmanager
def reads(path: Path, name: str) -> Iterator[None]:
    """Say whose fault it is that the block cannot read a file: of an archive that lacks it, or of the disk.

    Raises: BadArchive with `name`; ArchiveUnread.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise BadArchive(f"cannot read {name}: {type(error).__name__}") from None
    except OSError as error:
        raise ArchiveUnread(f"cannot read {path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class ArchivedPiece:
    """One payload file, and its entry in the manifest."""

    path: Path
    sha256: str
    size: int
    records: int | None = None
    """How many records it contains, as its volume says; None: it does not say."""

    def blocks(self) -> Iterator[bytes]:
        """Yield its content.

        Raises: BadArchive, after the last block if it differs from the manifest; ArchiveUnread.
        """
        digest = hashlib.sha256()
        with reads(self.path, self.path.name), self.path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                yield block
        if digest.hexdigest() != self.sha256:
            raise BadArchive(f"{self.path.name} differs from its entry in the manifest")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A recording or attachment, in one or several pieces."""

    pieces: tuple[ArchivedPiece, ...]
    media_type: str
    truncated: bool
    """Whether the source failed while it was read: only these bytes were available."""

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return sum(piece.size for piece in self.pieces)

    @property
    def digest(self) -> str:
        """Return an id of the content: the file's SHA-256, for several pieces that of their hashes."""
        if len(self.pieces) == 1:
            return self.pieces[0].sha256
        return hashlib.sha256("".join(piece.sha256 for piece in self.pieces).encode()).hexdigest()

    def blocks(self) -> Iterator[bytes]:
        for piece in self.pieces:
            yield from piece.blocks()


class FilePiece(NamedTuple):
    """A piece of a file, and its description."""

    piece: ArchivedPiece
    media_type: str
    truncated: bool


def joined(parts: Mapping[int, FilePiece]) -> StoredFile:
    """Return a file from its parts: part 0 is a whole file; several are numbered from 1, and all must exist."""
    numbers = [0] if 0 in parts else sorted(parts)
    is_gapless = numbers == [0] or numbers == list(range(1, len(numbers) + 1))
    found = [parts[number] for number in numbers]
    truncated = not is_gapless or any(part.truncated for part in found)
    return StoredFile(tuple(part.piece for part in found), found[0].media_type, truncated)
