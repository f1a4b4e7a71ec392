"""Recordings and attachments: a row's file, or the gap where it should be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from portability.api import File, FileStore, Gap
from portability.errors import SourceRefused

# Whatever a row says: an extension decides what a double click on the file does.
EXTENSIONS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/zip": "zip",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/plain": "txt",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
OPAQUE = "application/octet-stream"
FINDERS = 8
"""Questions to the file store at the same time."""
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Promise:
    """What a row says of its file; none of it is trusted."""

    what: str
    """Names the file in a gap: `<dataset>/<id>`."""
    id: str
    storage_key: str | None
    media_type: str | None
    bytes: int | None
    sha256: str | None


def find(files: FileStore, promise: Promise) -> File | Gap:
    """The file if the store has it, whatever its length: the host compares that. Raises SourceUnavailable."""
    if not promise.storage_key:
        return Gap(promise.what, "missing")
    try:
        found = files.stat(promise.storage_key)
    except SourceRefused:
        return Gap(promise.what, "source_refused")
    if found is None:
        return Gap(promise.what, "missing")
    stored_bytes, etag = found
    extension = EXTENSIONS.get(promise.media_type or "")
    return File(
        name=f"{promise.id}.{extension or 'bin'}",
        media_type=promise.media_type if promise.media_type and extension else OPAQUE,
        size=stored_bytes if promise.bytes is None or promise.bytes < 0 else promise.bytes,
        open=partial(files.read, promise.storage_key, etag=etag),
        etag=etag,
        sha256=promise.sha256 if promise.sha256 and SHA256.fullmatch(promise.sha256) else None,
    )


def find_all(files: FileStore, promises: Sequence[Promise]) -> list[File | Gap]:
    """As `find`, in their order. A store answers in its own time, and several answers at once take no longer."""
    if not promises:
        return []
    with ThreadPoolExecutor(min(len(promises), FINDERS)) as pool:
        return list(pool.map(partial(find, files), promises))
