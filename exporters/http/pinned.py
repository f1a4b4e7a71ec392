"""Connections to the checked addresses of hosts, under their own names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore
from httpcore import SyncBackend


class PinnedNetwork(httpcore.NetworkBackend):
    """Connects to `address` in place of the host of a URL, which TLS, cookies and open connections still go by."""

    def __init__(self) -> None:
        self.address: str | None = None
        """Of the next connection; None: the host's own name."""
        self._sockets = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect. Raises httpcore.ConnectError, httpcore.ConnectTimeout."""
        return self._sockets.connect_tcp(self.address or host, port, timeout, local_address, socket_options)
