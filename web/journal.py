"""A layer that answers a change only when its events are in storage, where a failover or a restore cannot lose them.

If a failover has lost the change meanwhile, the answer says so, and not that the change was made.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portability.database.history import DatabaseBehind
from portability.database.noted import noting
from portability.journal.shipping import Journal
from web.problems import for_error

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
FAULTS = 400


class Shipped:
    """Waits before each answer to a successful change, two seconds at the most: then a clock ships the events."""

    def __init__(self, app: ASGIApp, *, journal: Journal) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold back the beginning of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_change = scope["method"] in CHANGING
        is_replaced = False

        async def shipped(message: Message) -> None:
            nonlocal is_replaced
            begins = message["type"] == "http.response.start" and message["status"] < FAULTS
            if begins and is_change and events:
                try:
                    await run_in_threadpool(self._journal.flush, events)
                except DatabaseBehind as error:
                    is_replaced = True
                    await for_error(Request(scope), error)(scope, receive, send)
            if not is_replaced:
                await send(message)

        with noting() as events:
            await self._app(scope, receive, shipped)
