"""HEAD where GET works: the same status and headers without the content, and without an effect (RFC 9110, 9.3.2).

Load balancers and link checkers send HEAD. A route that answers HEAD itself keeps its own answer.
"""

from __future__ import annotations

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = "HEAD"
ASKED = "asked_method"
"""In the state of a request that is handled as GET: the method that the client has sent."""
ONCE = frozenset({"/login/callback", "/login/continue"})
"""Addresses whose GET uses something up: a code of the login provider, or a form that waits. They take no HEAD."""


def methods_of(request: HTTPConnection) -> set[str]:
    """Return the methods of all routes of an address: each route knows only its own (RFC 9110, 10.2.1)."""
    found = _routed(request)
    return found | {"OPTIONS"} | ({HEAD} if _answers_as_get(request, found) else set())


def asked_method(request: Request) -> str:
    """Return the method that the client has sent, which signed proofs name."""
    return str(getattr(request.state, ASKED, request.method))


class HeadAsGet:
    """Handles HEAD as GET where no route has its own HEAD, and leaves out content and cookies of the answer.

    Without the cookie the browser's session stays as it was: a message that a page shows once is still shown.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        connection = HTTPConnection(scope) if scope["type"] == "http" and scope["method"] == HEAD else None
        if not (connection and _answers_as_get(connection, _routed(connection))):
            await self._app(scope, receive, send)
            return

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["set-cookie"]
            await send({**message, "body": b""} if "body" in message else message)

        # A copy: the server needs the method that was sent, so that it sends no content either.
        scope.setdefault("state", {})[ASKED] = HEAD
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, without_content)
        finally:
            scope.update({**as_get, "method": HEAD})  # the route and its parameters, for the log


def _routed(request: HTTPConnection) -> set[str]:
    path, found = request.scope["path"], set[str]()
    for route in iter_route_contexts(request.app.routes):
        if compile_path(route.path or "")[0].match(path):
            found |= route.methods or set()
    return found


def _answers_as_get(request: HTTPConnection, routed: set[str]) -> bool:
    return "GET" in routed and HEAD not in routed and request.scope["path"] not in ONCE
