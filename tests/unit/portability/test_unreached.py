"""Which cause is named for a source that cannot be reached: each is mended in another place."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from portability.unreached import cause_of


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A server without TLS."""

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def caused(url: str) -> str:
    with httpx.HTTPTransport() as transport, pytest.raises(httpx.TransportError) as raised:
        transport.handle_request(httpx.Request("GET", url))
    return cause_of(raised.value)


def test_a_port_where_nothing_listens() -> None:
    """A wrong port, or a server that is not started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert caused(f"http://127.0.0.1:{port}/") == "ConnectError, nothing listens there"


def test_a_host_without_an_address() -> None:
    """A mistyped name; RFC 6761 keeps `.invalid` free."""
    assert caused("http://crm.invalid/") == "ConnectError, its host has no address"


def test_a_server_without_tls(plain_port: int) -> None:
    """`https:` where the server speaks `http:`."""
    assert caused(f"https://127.0.0.1:{plain_port}/") == "ConnectError, TLS with it fails"


def test_a_cause_that_is_not_known_is_the_type_alone() -> None:
    """As before."""
    assert cause_of(httpx.ReadError("10.0.0.1 is slow")) == "ReadError"
