"""A volume on its way from a folder to a browser, with what went out written down at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portability.errors import PortabilityError
from web.ranges import Part

LOOK_SECONDS = 5.0
"""How often a running download looks whether its link still lives."""


class VolumeStream(Response):
    """Blocks of a part, until its end, a disconnect, or the end of the link."""

    def __init__(
        self,
        blocks: Generator[bytes, None, None],
        part: Part,
        status: int,
        headers: Mapping[str, str],
        media_type: str,
        *,
        lives: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:
        """`lives` raises once the link has ended; `ended` is told how many bytes went out."""
        super().__init__(None, status, {**headers, "Content-Length": str(part.bytes)}, media_type)
        self._blocks, self._part, self._lives, self._ended = blocks, part, lives, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sent = 0
        try:
            sent = await self._send(Request(scope, receive), send)
        finally:
            with anyio.CancelScope(shield=True):  # what went out is told however it ended
                await anyio.to_thread.run_sync(self._ended, sent)

    async def _send(self, request: Request, send: Send) -> int:
        sent, looked_at = 0, time.monotonic()
        with closing(self._blocks):
            while sent < self._part.bytes and not await request.is_disconnected():
                if time.monotonic() - looked_at > LOOK_SECONDS:
                    try:
                        await anyio.to_thread.run_sync(self._lives)
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
