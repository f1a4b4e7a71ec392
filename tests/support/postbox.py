"""A real mail server for tests: stores what it accepts, and refuses, delays or hangs up on demand."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

TAKEN = "250 taken"


@dataclass
class Postbox:
    """What a server took, and how it answers; an answer of `None` hangs up."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    on_recipient: Callable[[str], str | None] = lambda _address: "250 ok"
    on_data: Callable[[int], str | None] = lambda _number: TAKEN
    """By the number of the message; called when it is kept, before the server says so."""
    changed: threading.Event = field(default_factory=threading.Event)
    """Set whenever a message has been kept."""

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.taken]

    async def handle_RCPT(  # noqa: N802  # the library's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.on_recipient(address)
        if answer is not None and answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self._answer(server, answer)

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        content = envelope.content
        assert isinstance(content, bytes)
        number = len(self.taken)
        answer = await asyncio.to_thread(self.on_data, number)
        if answer is None or answer.startswith("2"):
            self.taken.append(message_from_bytes(content, _class=EmailMessage, policy=default))
            self.recipients += envelope.rcpt_tos
            self.changed.set()
        return self._answer(server, answer)

    def _answer(self, server: SMTP, answer: str | None) -> str:
        if answer is None:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 gone"
        return answer


@contextmanager
def open_postbox(**options: Any) -> Iterator[Postbox]:
    """A server on a free port of this machine, closed at the end of the block; options are aiosmtpd's."""
    box = Postbox()
    controller = _Controller(box, hostname="127.0.0.1", port=0, **options)
    controller.start()
    box.port = controller.address[1]
    try:
        yield box
    finally:
        controller.stop()


class _Controller(Controller):
    @property
    def address(self) -> tuple[str, int]:
        assert isinstance(self.server, asyncio.Server)
        host, port = self.server.sockets[0].getsockname()
        return host, port

    def _trigger_server(self) -> None:
        """The library connects to the configured port, which is 0 here: the kernel chooses a free one."""
        with socket.create_connection(self.address, timeout=10) as knock:
            if self.ssl_context is None:
                knock.recv(1024)
                return
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            with trusting.wrap_socket(knock) as encrypted:
                encrypted.recv(1024)


class UnaskedDirectory:
    """A directory that must not be asked: who is known by an address is reached there."""

    def contact(self, subject: object) -> None:
        raise AssertionError(subject)


def bodies(message: EmailMessage) -> Sequence[str]:
    """The text and the HTML of a message."""
    return [str(part.get_content()) for part in message.iter_parts()]
