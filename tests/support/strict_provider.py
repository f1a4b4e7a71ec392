"""A source whose refresh tokens are valid once: the second use of one ends all of its tokens (RFC 9700, 4.14.2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from http_sources import Asked, StandIn, stand_in

PEOPLE = """
title = "Desk"
role = "controller"
kinds = ["email"]

[limits]
timeout_seconds = 5

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Tickets."
provenance = "provided"
for_each = "email"
get = "/tickets"
scoped = true
[dataset.fields]
id = { text = "Identifier." }
"""
REFRESH = "refresh token "
"""A token begins with it, and then has its number. The blanks are in no letters of an encrypted text (RFC 4648)."""
FIRST = f"{REFRESH}0"


@dataclass
class StrictProvider:
    """What the source knows of the tokens that it has given."""

    server: StandIn
    lifetime: float = 3600.0
    slow_seconds: float = 0.0
    """How long the token endpoint takes after it has ended the token that it was asked with."""
    renewed: Callable[[], None] = lambda: None
    """Called when a refresh token has been used, before the answer."""
    refreshes: int = 0
    most_at_once: int = 0
    is_revoked: bool = False
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def auth(self) -> dict[str, str]:
        """The login of a section; `DESK_SECRET` and `DESK_TOKEN` are in the environment."""
        client = {"client_id": "us", "client_secret": "env:DESK_SECRET", "refresh_token": "env:DESK_TOKEN"}
        return {"kind": "oauth2_refresh", "token_url": f"{self.server.url}/token", **client}

    def token(self, asked: Asked) -> Any:
        """The token endpoint."""
        form = dict(parse_qsl(asked.heard.body.decode()))
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            if form["refresh_token"] != f"{REFRESH}{self.refreshes}":
                self.is_revoked = True
            if not self.is_revoked:
                self.refreshes += 1
            number = self.refreshes
        try:
            if self.is_revoked:
                return 400, {}, {"error": "invalid_grant", "error_description": "ann@example.test"}
            self.renewed()
            time.sleep(self.slow_seconds)
            return {"access_token": f"a{number}", "refresh_token": f"{REFRESH}{number}", "expires_in": self.lifetime}
        finally:
            with self._lock:
                self._at_once -= 1

    def tickets(self, asked: Asked) -> Any:
        """The only list; it needs the newest access token."""
        if self.is_revoked or asked.heard.headers.get("authorization") != f"Bearer a{self.refreshes}":
            return 401, {}, {}
        return [{"id": "1"}]


@contextmanager
def strict_provider() -> Iterator[StrictProvider]:
    """The source on a free port."""
    with stand_in() as server:
        provider = StrictProvider(server)
        server.on("/token")(provider.token)
        server.on("/tickets")(provider.tickets)
        yield provider
