"""Stream a volume from storage to a browser, and record at the end how many bytes were sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress

import anyio
import anyio.to_thread
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portability.api.errors import PortabilityError
from web.ranges import Part

log = structlog.get_logger()
LOOK_SECONDS = 5.0
"""How often a running download checks that its link is still valid."""
RECORD_SECONDS = 10.0
"""How long a process that stops waits for its answers to record what they have sent."""


class RunningStreams:
    """The answers that a process is sending: when it stops, it waits until they have recorded what they have sent."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def of_this_task(self) -> Iterator[None]:
        """Count the answer of this task as running in the block."""
        if not (task := asyncio.current_task()):
            raise RuntimeError("an answer is sent by a task")
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def recorded(self) -> None:
        """Wait for the answers that the server has cut, for a short time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=RECORD_SECONDS)


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
        running: RunningStreams,
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
            ended: called at the end with the number of bytes that were sent, however it ends.
            running: what is running in this process.
        """
        super().__init__(None, status, {**headers, "Content-Length": str(part.bytes)}, media_type)
        self._blocks, self._part, self._lives, self._ended = blocks, part, lives, ended
        self._running, self._sent = running, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with self._running.of_this_task():
            try:
                await self._send(Request(scope, receive), send)
            except PortabilityError as error:
                log.warning("download.cut", code=error.code, sent=self._sent)
            except asyncio.CancelledError:
                log.info("download.cut", code="stopped", sent=self._sent)  # with this process: the reader resumes it
            finally:
                with anyio.CancelScope(shield=True):  # what was sent is recorded, also after an error
                    await anyio.to_thread.run_sync(self._ended, self._sent)
                with suppress(ValueError):  # a thread that reads a block while the process stops keeps it
                    self._blocks.close()

    async def _send(self, request: Request, send: Send) -> None:
        looked_at = time.monotonic()
        while self._sent < self._part.bytes and not await request.is_disconnected():
            if time.monotonic() - looked_at > LOOK_SECONDS:
                await anyio.to_thread.run_sync(self._lives, self._sent)
                looked_at = time.monotonic()
            block = await anyio.to_thread.run_sync(next, self._blocks, b"")
            if not block:
                return
            block = block[: self._part.bytes - self._sent]
            await send({"type": "http.response.body", "body": block, "more_body": True})
            self._sent += len(block)
        if self._sent == self._part.bytes:
            await send({"type": "http.response.body", "body": b""})
