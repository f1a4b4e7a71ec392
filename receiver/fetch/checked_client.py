"""An HTTP client for links that other parties name: it connects to checked addresses only (R46)."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpcore
import httpx

from portability.certificates import trusted_certificates
from portability.safe_http import CheckedNetwork, SafeHttpClient
from receiver.fetch.sender import LIMITS, open_client


class CheckedTransport(httpx.HTTPTransport):
    """The transport of httpx on checked connections."""

    def __init__(self, client: SafeHttpClient, *, plain: bool) -> None:
        trust = client.trust or trusted_certificates()
        super().__init__(verify=trust)
        # httpx has no argument for the network of its pool; this is the pool that it makes itself, on another network.
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust,
            max_connections=LIMITS.max_connections,
            network_backend=CheckedNetwork(client, plain=plain),
        )


def checked_client(client: SafeHttpClient, url: str) -> httpx.Client:
    """Open a client for the origin of a link, within the limits of a safe client."""
    return open_client(CheckedTransport(client, plain=urlsplit(url).scheme == "http"))
