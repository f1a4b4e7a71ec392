"""Replies of a mail server, bounded in size and time: the library limits each read alone, and no number of lines."""

from __future__ import annotations

import io
import smtplib
import socket
import time
from typing import Any

REPLY_BYTES = 256 * 1024
"""A reply has a few lines of at most 512 bytes each (RFC 5321, section 4.5.3.1.5)."""


class BoundedSmtp(smtplib.SMTP):
    """A connection on which each reply takes at most the timeout, and has at most about REPLY_BYTES."""

    def getreply(self) -> tuple[int, bytes]:
        """Return a reply. Raises SMTPServerDisconnected, also for a longer or slower one."""
        if self.sock and not self.file:
            self._reader = _ReplyReader(self.sock, self.timeout)
            self.file = io.BufferedReader(self._reader)
        self._reader.begin()
        return super().getreply()


class BoundedSmtpOverTls(BoundedSmtp, smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""


class _ReplyReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds

    def begin(self) -> None:
        self._ends_at, self._left_bytes = time.monotonic() + self._seconds, REPLY_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # any buffer that can be written
        left_seconds = self._ends_at - time.monotonic()
        if left_seconds <= 0 or self._left_bytes <= 0:
            raise TimeoutError("the reply does not end")
        self._connection.settimeout(left_seconds)
        try:
            count = self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(self._seconds)
        self._left_bytes -= count
        return count
