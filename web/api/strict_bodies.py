"""Strict JSON bodies: duplicate keys, NaN, unknown fields and values of another type are refused."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portability import strict_json

BODY_BYTES = 64 * 1024
"""The largest accepted body; the rest of a larger one is not read."""


class BodySizeLimit:
    """Stops reading a body that is too large; the application answers with its own problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_BYTES:
                raise HTTPException(413)
            return message

        await self._app(scope, bounded, send)


class Body(BaseModel):
    """The body of a call: a field that is not documented is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StrictRequest(Request):
    """A request whose JSON has no duplicate keys: parsers differ on which value they take."""

    async def json(self) -> Any:  # noqa: ANN401  # any JSON
        body = await self.body()
        try:
            return strict_json.parse(body)
        except ValueError:
            raise HTTPException(400) from None


class StrictRoute(APIRoute):
    """A route that reads its body as a StrictRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if int(request.headers.get("content-length") or 0) and not _is_json(request):
                raise HTTPException(415)
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"
