"""A sender that sends little by little is not waited for, whatever it is asked; why it does not answer is named."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest

from receiver.faults import SenderUnavailable
from receiver.fetch import sender as sending
from receiver.fetch.sender import Sender, TransferLinks, open_client

ORIGIN = "https://sender.example.test"
LINKS = TransferLinks("t1", f"{ORIGIN}/transfer.jwt", f"{ORIGIN}/receipt", f"{ORIGIN}/jwks.json", f"{ORIGIN}/list")


@dataclass
class Drops(httpx.SyncByteStream):
    """A body of one byte every 59 seconds, without an end."""

    now: float = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.now < 1000:
            self.now += 59
            yield b"["

    def clock(self) -> float:
        return self.now


def slow_sender(status: int = 200) -> Sender:
    drops = Drops()
    transport = httpx.MockTransport(lambda _asked: httpx.Response(status, stream=drops))
    return Sender(f"{ORIGIN}/d/x", open_client(transport), drops.clock)


def test_an_answer_that_drips_ends_in_time() -> None:
    """Offer, keys, statement and list, as volumes do."""
    asks: tuple[Callable[[Sender], object], ...] = (
        lambda sender: sender.offer(),
        lambda sender: sender.jwks(),
        lambda sender: sender.statement(LINKS),
        lambda sender: sender.volume_list(LINKS, 1000),
    )
    for ask in asks:
        with slow_sender() as sender, pytest.raises(SenderUnavailable, match="fewer than 1024 bytes per second"):
            ask(sender)


def test_a_refusal_of_a_receipt_that_drips_ends_in_time() -> None:
    """Its code is read from the body."""
    with slow_sender(400) as sender, pytest.raises(SenderUnavailable, match="fewer than 1024 bytes per second"):
        sender.post_receipt(LINKS, "receipt")


def test_a_header_without_end_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interim answers (RFC 9110 section 15.2) may go on for ever."""
    monkeypatch.setattr(sending, "HEADER_SECONDS", 0.05)

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            while True:
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        link = f"http://127.0.0.1:{server.getsockname()[1]}/d/x"
        with Sender(link) as sender, pytest.raises(SenderUnavailable, match="ReadTimeout, no answer came in time"):
            sender.offer()
        thread.join()


def test_the_cause_is_named() -> None:
    """A mistyped host and a server that is not started are mended in other places; RFC 6761 keeps `.invalid` free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for link, cause in (
        (f"http://127.0.0.1:{port}/d/x", "nothing listens there"),
        ("https://sender.invalid/d/x", "its host has no address"),
    ):
        with Sender(link) as sender, pytest.raises(SenderUnavailable, match=f"ConnectError, {cause}$"):
            sender.offer()
