"""A layer that answers a change only when its events are in storage, where a failover or a restore cannot lose them."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portability.journal.shipping import Journal

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
FAULTS = 400


class Shipped:
    """Waits before each answer to a successful change, two seconds at the most: then a clock ships the events."""

    def __init__(self, app: ASGIApp, *, journal: Journal) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold back the beginning of its answer."""
        if scope["type"] != "http" or scope["method"] not in CHANGING:
            await self._app(scope, receive, send)
            return

        async def shipped(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < FAULTS:
                await run_in_threadpool(self._journal.flush)
            await send(message)

        await self._app(scope, receive, shipped)
