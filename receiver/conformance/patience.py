"""An HTTP transport that waits when a sender says that it has too many requests."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

TOO_MANY = 429
WAIT_SECONDS, LONGEST_SECONDS = 5, 330
"""Without Retry-After, and in all for one request: limits of a sender count within 5 minutes."""
DIGITS = 18
"""Of Retry-After that are read: Python refuses to read a number of thousands of digits."""


class PatientTransport(httpx.BaseTransport):
    """Repeats a request that was answered with 429, after the time that the answer names (RFC 6585)."""

    def __init__(self, transport: httpx.BaseTransport, sleep: Callable[[float], object] = time.sleep) -> None:
        self._transport = transport
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and repeat it while it is answered with 429."""
        waited = 0
        while True:
            response = self._transport.handle_request(request)
            stated = response.headers.get("retry-after", "")
            wait = max(1, int(stated[:DIGITS])) if stated.isascii() and stated.isdecimal() else WAIT_SECONDS
            if response.status_code != TOO_MANY or waited + wait > LONGEST_SECONDS:
                return response
            response.close()
            self._sleep(wait)
            waited += wait

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
