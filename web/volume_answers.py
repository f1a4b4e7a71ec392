"""Answers with the bytes of a volume: all, a part, or only their headers; what is sent is recorded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path, Request
from fastapi.responses import Response

from web import sessions
from web.context import AppContext
from web.ranges import Part, Unsatisfiable, precondition, wanted
from web.running_downloads import RunningDownload
from web.stream import VolumeStream

VolumeNumber = Annotated[int, Path(ge=1, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class AskedBytes:
    """A request for a volume."""

    request: Request
    range: str | None
    """The header Range."""
    if_range: str | None


def answer(
    place: AppContext,
    asked: AskedBytes,
    link: Mapping[Any, Any],
    stored: Mapping[Any, Any],
    claim: str,
    *,
    check: Callable[[], object],
) -> Response:
    """Send the bytes of a claimed volume.

    Args:
        place: the context of this process.
        asked: what is asked for.
        link: as `links.resolve` returns it.
        stored: the volume, as `links.claimed` returns it.
        claim: the token of the claim.
        check: called every few seconds; raises PortabilityError once the bytes may not be sent any more.

    Raises: ObjectMissing; StorageUnavailable; DatabaseUnavailable.
    """
    headers, size, sent = _headers(stored), stored["bytes"], asked.request.headers
    if status := precondition(sent.get("if-match"), sent.get("if-none-match"), etag=headers["ETag"]):
        return Response(None, status, {"ETag": headers["ETag"]})
    if asked.request.method == "HEAD":
        place.storage.stat(stored["object_key"])
        return Response(None, 200, {**headers, "Content-Length": str(size)}, _media_type(stored))
    try:
        part = wanted(asked.range, asked.if_range, etag=headers["ETag"], size=size)
    except Unsatisfiable:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    wanted_part = part or Part(0, size - 1)
    ranged = {} if part is None else {"Content-Range": f"bytes {part.first}-{part.last}/{size}"}
    blocks = _begun(place.storage.read(stored["object_key"], wanted_part.first))
    download = RunningDownload.begin(place, link, stored, claim, device(asked.request), first=wanted_part.first)

    def lives(sent_bytes: int) -> None:
        download.sent(sent_bytes)
        check()

    return VolumeStream(
        blocks,
        wanted_part,
        206 if part else 200,
        {**headers, **ranged},
        _media_type(stored),
        lives=lives,
        ended=download.ended,
        running=place.streams,
    )


def device(request: Request) -> str:
    """Return browser and system of a request."""
    return sessions.device(request.headers.get("user-agent", ""))


def _begun(blocks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Return the same blocks with the first one read: an error of storage can still become an error answer."""
    first = next(blocks, b"")

    def all_blocks() -> Generator[bytes, None, None]:
        yield first
        yield from blocks

    return all_blocks()


def _headers(stored: Mapping[Any, Any]) -> dict[str, str]:
    """Return the headers that a download manager needs. The file name contains only an opaque id (R43)."""
    name = stored["file"]
    digest = base64.b64encode(bytes.fromhex(stored["sha256"])).decode()
    return {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}",
        "ETag": f'"{stored["sha256"]}"',
        "Repr-Digest": f"sha-256=:{digest}:",  # of the whole volume, also where a part is sent (RFC 9530)
    }


def _media_type(stored: Mapping[Any, Any]) -> str:
    return "application/zip" if stored["file"].endswith(".zip") else "application/octet-stream"
