"""What is said of a mail server that cannot be used: a login was refused only where one was tried."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from portability.messages.mail import MailServer, MailUnavailable, session

GREETING = b"220 made up\r\n"
NO_EXTENSIONS = b"250 made up\r\n"


@contextmanager
def saying(*answers: bytes) -> Iterator[int]:
    """The port of a server that gives these answers, one to each line that it gets, and then ends the connection."""

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                for answer in answers:
                    connection.sendall(answer)
                    connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answers", "server", "seen"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n",), (False, False, "me"), "does not answer as a mail server: SMTPConnect"),
        ((b"HTTP/1.1 400 Bad Request\r\n",), (True, False, "me"), "does not answer as a mail server: SSLError"),
        ((GREETING, NO_EXTENSIONS), (False, True, "me"), "fails at STARTTLS: SMTPNotSupportedError"),
        ((GREETING, NO_EXTENSIONS), (False, False, "me"), "refuses the login: SMTPNotSupportedError"),
    ],
)
def test_the_step_is_named_at_which_a_server_fails(
    answers: tuple[bytes, ...], server: tuple[bool, bool, str], seen: str
) -> None:
    """A wrong port or certificate is not looked for in the password."""
    with saying(*answers) as port:
        chosen, opened = MailServer("127.0.0.1", port, *server, "secret"), None
        with pytest.raises(MailUnavailable, match=f"^the mail server {seen}"):
            opened = session(chosen, 5).__enter__()
        assert not opened


def lines_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"220-made up\r\n" * 1000)


def bytes_without_end(connection: socket.socket) -> None:
    """Each read finds something within the time that one read may take."""
    while True:
        connection.sendall(b"2")
        threading.Event().wait(0.02)


@pytest.mark.parametrize(("reply", "seconds"), [(lines_without_end, 30), (bytes_without_end, 0.2)])
@pytest.mark.parametrize("greeting", [b"", GREETING])
def test_a_reply_without_end_ends(reply: Callable[[socket.socket], None], seconds: float, greeting: bytes) -> None:
    """The lease of a message is longer than all replies: in a longer time another clock would send it, too."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            if greeting:
                connection.sendall(greeting)
                connection.recv(4096)
            reply(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        chosen = MailServer("127.0.0.1", server.getsockname()[1], False, False, None, None)
        with pytest.raises(MailUnavailable, match="does not answer as a mail server: SMTPServerDisconnected"):
            session(chosen, seconds).__enter__()
        thread.join()
