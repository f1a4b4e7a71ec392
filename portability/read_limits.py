"""Limits the time of all reads of an answer together, such as those of its header, and ends reads of other threads.

The library limits each read alone. A server that sends one byte of its header a minute, or interim answers without an
end (RFC 9110 section 15.2), would be waited for as long as it likes.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import httpcore
import httpx

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)
"""By the monotonic clock."""


@contextmanager
def reads_within(seconds: float) -> Iterator[None]:
    """Limit what is read within the block: after the time the library raises ReadTimeout.

    It holds in this thread, for clients of `limit_client` and transports of `limit_transport`.
    """
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def limit_client(client: httpx.Client) -> httpx.Client:
    """Make the connections of a client, also those through proxies, obey `reads_within`; returns the client."""
    for transport in _transports(client):
        limit_transport(transport)
    return client


def limit_transport(
    transport: httpx.HTTPTransport, network: httpcore.NetworkBackend | None = None
) -> httpx.HTTPTransport:
    """Make the connections of a transport obey `reads_within`, and go through a network; returns the transport."""
    pool = transport._pool  # noqa: SLF001  # httpx has no argument for the network of a pool that it makes itself
    pool._network_backend = _LimitedNetwork(network or pool._network_backend)  # noqa: SLF001  # as above
    return transport


def cut_connections(client: httpx.Client) -> None:
    """End all connections of a client of `limit_client`: reads in other threads fail at once.

    To close a client does not wake a thread that waits for a silent server.
    """
    for transport in _transports(client):
        network = transport._pool._network_backend  # noqa: SLF001  # as above
        for stream in list(network.streams) if isinstance(network, _LimitedNetwork) else ():
            found = stream.get_extra_info("socket")
            with suppress(OSError):  # it has ended already
                # Not the method of a TLS socket, which takes the encryption away from the thread that reads.
                socket.socket.shutdown(found, socket.SHUT_RDWR)


def _transports(client: httpx.Client) -> Iterator[httpx.HTTPTransport]:
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001  # as above
        if isinstance(transport, httpx.HTTPTransport):
            yield transport


def _left(timeout_seconds: float | None) -> float | None:
    """Return the seconds that a read may take. Raises httpcore.ReadTimeout if none is left."""
    ends_at = _ends_at.get()
    if ends_at == math.inf:
        return timeout_seconds
    left_seconds = ends_at - time.monotonic()
    if left_seconds <= 0:
        raise httpcore.ReadTimeout
    return min(left_seconds, timeout_seconds or left_seconds)


class _LimitedNetwork(httpcore.NetworkBackend):
    def __init__(self, network: httpcore.NetworkBackend) -> None:
        self._network = network
        self.streams = WeakSet[_LimitedStream]()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return _LimitedStream(stream, self.streams)

    def sleep(self, seconds: float) -> None:
        self._network.sleep(seconds)


class _LimitedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, streams: WeakSet[_LimitedStream]) -> None:
        self._stream, self._streams = stream, streams
        streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _LimitedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._streams)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # signature of httpcore
        return self._stream.get_extra_info(info)
