"""The outermost layer: protective headers (R43), a request id, a log line, and no traceback in an answer.

The log line names the route, never the path or the query: those contain tokens.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import internal_fault
from web.visibility import ID

log = structlog.get_logger()

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'{forms}; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY.format(forms=""),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
HSTS = "max-age=31536000"


def policy_with_forms_to(origin: str | None) -> str:
    """Return the content policy of a page whose form redirects to another origin: browsers check redirects too."""
    return POLICY.format(forms=f" {origin}" if origin else "")


class Guarded:
    """Adds the headers, the request id and the log line to each answer."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = {**HEADERS, **({"Strict-Transport-Security": HSTS} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            log.exception("request failed", request_id=request_id, error=type(error).__name__)
            if status:  # part of the answer is sent: only a broken connection shows that it is incomplete
                raise
            await internal_fault(Request(scope), request_id)(scope, receive, guarded)
        finally:
            seconds = round(time.monotonic() - began, 4)
            log.info("request", request_id=request_id, seconds=seconds, status=status, **_log_fields(scope))


def _log_fields(scope: Scope) -> dict[str, Any]:
    """Return what a log may contain: the method, the route and the id of the export, not the path."""
    route = scope.get("route")
    fields = {"method": scope["method"], "route": getattr(route, "path", None)}
    export_id = str(scope.get("path_params", {}).get("export_id"))
    return {**fields, "export": export_id} if route and ID.fullmatch(export_id) else fields
