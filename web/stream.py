"""Stream a volume from storage to a browser, and record at the end how many bytes were sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portability.api.errors import PortabilityError
from web.ranges import Part

LOOK_SECONDS = 5.0
"""How often a running download checks that its link is still valid."""


class VolumeStream(Response):
    """An answer with the blocks of a part, until its end, a disconnect, or the end of the link."""

    def __init__(
        self,
        blocks: Generator[bytes, None, None],
        part: Part,
        status: int,
        headers: Mapping[str, str],
        media_type: str,
        *,
        lives: Callable[[int], None],
        ended: Callable[[int], None],
    ) -> None:
        """Prepare the answer.

        Args:
            blocks: the bytes of the file from the part's first byte on.
            part: the part that is sent.
            status: 200 for the whole file, 206 for a part of it.
            headers: the headers of the answer, without Content-Length.
            media_type: the media type of the file.
            lives: called every LOOK_SECONDS with the number of bytes that were sent so far; raises PortabilityError
                once the link has ended.
            ended: called at the end with the number of bytes that were sent.
        """
        super().__init__(None, status, {**headers, "Content-Length": str(part.bytes)}, media_type)
        self._blocks, self._part, self._lives, self._ended = blocks, part, lives, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sent = 0
        try:
            sent = await self._send(Request(scope, receive), send)
        finally:
            with anyio.CancelScope(shield=True):  # what was sent is recorded, also after an error
                await anyio.to_thread.run_sync(self._ended, sent)

    async def _send(self, request: Request, send: Send) -> int:
        sent, looked_at = 0, time.monotonic()
        with closing(self._blocks):
            while sent < self._part.bytes and not await request.is_disconnected():
                if time.monotonic() - looked_at > LOOK_SECONDS:
                    try:
                        await anyio.to_thread.run_sync(self._lives, sent)
                    except PortabilityError:
                        return sent
                    looked_at = time.monotonic()
                block = await anyio.to_thread.run_sync(next, self._blocks, b"")
                if not block:
                    return sent
                block = block[: self._part.bytes - sent]
                await send({"type": "http.response.body", "body": block, "more_body": True})
                sent += len(block)
        if sent == self._part.bytes:
            await send({"type": "http.response.body", "body": b""})
        return sent
