"""An answer that begins slowly ends in time: each of its reads keeps the timeout of the library, and all do not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from portability.read_limits import limit_client, limit_transport, reads_within

INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server for one request."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            answer(connection)
            connection.recv(1)  # until the client has gone

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


def interim_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(INTERIM)


def nothing(_connection: socket.socket) -> None:
    """Accept, and never answer."""


@pytest.mark.parametrize(
    ("answer", "each_read", "all_reads"), [(interim_without_end, 30, 0.05), (nothing, 30, 0.05), (nothing, 0.05, 30)]
)
def test_a_header_that_never_ends_is_not_waited_for(
    answer: Callable[[socket.socket], object], each_read: float, all_reads: float
) -> None:
    """The shorter limit counts: that of each read, or that of all of them, in seconds."""
    with (
        serving(answer) as url,
        limit_client(httpx.Client(trust_env=False, timeout=each_read)) as client,
        reads_within(all_reads),
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(url)


def test_an_answer_in_time_is_read() -> None:
    """Within the block and after it, over plain connections."""
    with serving(lambda connection: connection.sendall(INTERIM + ANSWER)) as url:
        transport = limit_transport(httpx.HTTPTransport(trust_env=False))
        with transport:
            with reads_within(30):
                response = transport.handle_request(httpx.Request("GET", url))
            assert response.read() == b"{}"


def test_connections_through_a_proxy_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client takes its proxy from the environment, and has a transport of its own for it."""
    with serving(interim_without_end) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with limit_client(httpx.Client(timeout=30)) as client, reads_within(0.05), pytest.raises(httpx.ReadTimeout):
            client.get("http://sender.example.test/")
