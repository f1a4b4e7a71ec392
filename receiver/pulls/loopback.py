"""The way back on this machine (RFC 8252, 7.3): a server for one request, to which a person's browser returns."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Self
from urllib.parse import urlsplit

from portability.api.errors import BadInput
from receiver.faults import CopyPending, WrongReturn
from receiver.fetch.sender import is_loopback
from receiver.pulls import asking

ANSWER = b"The answer has arrived. You can close this page.\n"
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": str(len(ANSWER)),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
NOT_FOUND = 404
CONNECTION_SECONDS = 10


class ReturnServer:
    """Listens where a redirect URI on this machine leads. Use it as a context manager."""

    def __init__(self, redirect_uri: str) -> None:
        """Listen. Raises BadInput for an address elsewhere, or one that is in use."""
        parts = urlsplit(redirect_uri)
        if parts.scheme != "http" or not parts.port or not is_loopback(parts.hostname or ""):
            hint = "without --wait, `portability pull consent` takes the address that the person came back with"
            raise BadInput("--wait needs a redirect URI on this machine, as http://127.0.0.1:PORT/PATH", hint=hint)
        self._found: dict[str, str] = {}
        self._state = ""
        try:
            self._server = HTTPServer(("127.0.0.1", parts.port), self._handler(parts.path))
        except OSError as error:
            raise BadInput(f"cannot listen at {parts.netloc}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def answer(self, seconds: float, state: str) -> Mapping[str, str]:
        """Return the parameters that the browser comes with. Raises CopyPending if it does not come in time.

        Any page that the browser shows can send it here: only what has the `state` of the request is the answer.
        """
        self._state = state
        give_up_at = time.monotonic() + seconds
        while not self._found:
            self._server.timeout = give_up_at - time.monotonic()
            if self._server.timeout <= 0:
                hint = "`portability pull consent` takes the address that the person comes back with"
                raise CopyPending("the person has not answered yet", hint=hint)
            self._server.handle_request()
        return self._found

    def _is_taken(self, address: str) -> bool:
        """Take the parameters of an address, if it answers the request."""
        try:
            found = asking.returned(address)
        except WrongReturn:
            return False
        if not hmac.compare_digest(found.get("state", "").encode(), self._state.encode()):
            return False
        self._found = dict(found)
        return True

    def _handler(self, path: str) -> type[BaseHTTPRequestHandler]:
        server = self

        class ReturnHandler(BaseHTTPRequestHandler):
            """Takes the answer at the path; answers other requests with 404."""

            timeout = CONNECTION_SECONDS

            def do_GET(self) -> None:
                if urlsplit(self.path).path != path or not server._is_taken(self.path):
                    self.send_error(NOT_FOUND)
                    return
                self.send_response(200)
                for name, value in HEADERS.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(ANSWER)

            def log_message(self, *_: object) -> None:
                """Log nothing: the address has the code."""

        return ReturnHandler
