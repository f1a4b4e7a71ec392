"""Recordings and attachments: a row's file, or the gap if it is missing."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from exporters.maps.media_types import OPAQUE, SHA256, file_name, known_type, type_of_bytes
from portability.api import File, FileStore, Gap
from portability.api.errors import SourceRefused

FINDERS = 8
"""Concurrent requests to the file store."""


@dataclass(frozen=True, slots=True)
class StatedFile:
    """What a row states about its file; none of it is trusted."""

    what: str
    """The file's name in a gap: `<dataset>/<id>`."""
    id: str
    storage_key: str | None
    media_type: str | None
    bytes: int | None
    sha256: str | None


def stated_file(what: str, identifier: str, columns: Sequence[object]) -> StatedFile:
    """Make it from a record's name and id, and the columns of its file; a value of another type is not stated."""
    storage_key, media_type, size, sha256 = columns
    return StatedFile(
        what,
        identifier,
        storage_key if isinstance(storage_key, str) else None,
        media_type if isinstance(media_type, str) else None,
        size if isinstance(size, int) and not isinstance(size, bool) else None,
        sha256 if isinstance(sha256, str) else None,
    )


def find(files: FileStore, stated: StatedFile) -> File | Gap:
    """Find the file in the store, with any length: the host checks the length. Raises SourceUnavailable."""
    if not stated.storage_key:
        return Gap(stated.what, "missing")
    try:
        found = files.stat(stated.storage_key)
    except SourceRefused:
        return Gap(stated.what, "source_refused")
    if found is None:
        return Gap(stated.what, "missing")
    stored_bytes, etag = found
    media_type = known_type(stated.media_type)
    if media_type == OPAQUE and stated.media_type in {None, "", OPAQUE}:
        media_type = _seen_type(files, stated.storage_key, etag)
    return File(
        name=file_name(stated.id, media_type),
        media_type=media_type,
        size=stored_bytes if stated.bytes is None or stated.bytes < 0 else stated.bytes,
        open=partial(files.read, stated.storage_key, etag=etag),
        etag=etag,
        sha256=stated.sha256 if stated.sha256 and SHA256.fullmatch(stated.sha256) else None,
    )


def _seen_type(files: FileStore, storage_key: str, etag: str | None) -> str:
    """Return the type that the first bytes of a file show, if its row states none. Raises SourceUnavailable."""
    try:
        blocks = files.read(storage_key, etag=etag)
        beginning = next(blocks, b"")
    except SourceRefused:
        return OPAQUE  # the reading of the file reports it
    if isinstance(blocks, Generator):
        blocks.close()
    return type_of_bytes(beginning)


def find_all(files: FileStore, stated_files: Sequence[StatedFile]) -> list[File | Gap]:
    """Find files as `find` does, in order. Requests run concurrently, so that several take no longer than one."""
    if not stated_files:
        return []
    with ThreadPoolExecutor(min(len(stated_files), FINDERS)) as pool:
        return list(pool.map(partial(find, files), stated_files))
