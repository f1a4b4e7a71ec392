"""The client as hooks see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporters.http.client import HttpCall, SourceClient
from exporters.http.guard import UrlGuard
from portability.api import JSON
from portability.api.errors import SourceRefused


@dataclass(frozen=True, slots=True)
class HookCalls:
    """Sends the requests of hooks, with the rate, the login and the bounds of the source."""

    client: SourceClient
    guard: UrlGuard
    source: str

    def json(self, path: str, *, params: Mapping[str, str] | None = None, body: JSON = None) -> Any:  # noqa: ANN401  # any JSON value
        """Return the JSON answer of a GET, or of a POST if there is a body. Raises SourceUnavailable, SourceRefused."""
        has_body = body is not None
        page = self.client.json(self._call("POST" if has_body else "GET", path, params=params or {}, body=body))
        return page.value if page is not None else None

    def content(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the bytes of an answer. Raises SourceUnavailable, SourceRefused."""
        return self.client.body(self._call(method, path, body=body, headers=headers or {})) or b""

    def _call(self, method: str, path: str, **more: Any) -> HttpCall:  # noqa: ANN401  # fields of the call
        if not path.startswith("/"):
            raise SourceRefused(f"{self.source}: a hook asked for a path that does not begin with /")
        url = self.guard.link(self.guard.own(path).url, self.guard.base, f"{self.source}: hook")
        return HttpCall(f"{self.source}: hook", url, method, **more)
