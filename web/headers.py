"""Around every answer: headers that protect it (R43), a request id, one log line, and no traceback to anybody.

The log line names the route, never the path or the query: those hold tokens.
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
    """The content policy for a page whose form ends at another origin: browsers follow a form's redirects too."""
    return POLICY.format(forms=f" {origin}" if origin else "")


class Guarded:
    """The outermost layer."""

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
            if status:  # half an answer is out: only a broken connection tells that it is not whole
                raise
            await internal_fault(Request(scope), request_id)(scope, receive, guarded)
        finally:
            seconds = round(time.monotonic() - began, 4)
            log.info("request", request_id=request_id, seconds=seconds, status=status, **_told(scope))


def _told(scope: Scope) -> dict[str, Any]:
    """What a log may know: the route and the export, not the path."""
    route = scope.get("route")
    told = {"method": scope["method"], "route": getattr(route, "path", None)}
    export_id = scope.get("path_params", {}).get("export_id")
    return told if export_id is None or not route else {**told, "export": str(export_id)[:32]}
