"""Why another server gives no answer, in words for an operator; the library says `ConnectError` for most causes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

import httpcore

CAUSES: Mapping[type[BaseException], str] = {
    socket.gaierror: "its host has no address",
    ssl.SSLCertVerificationError: "its certificate is not valid, or of an unknown authority",
    ssl.SSLError: "TLS with it fails",
    ConnectionRefusedError: "nothing listens there",
    ConnectionResetError: "it broke the connection",
    httpcore.ConnectTimeout: "the connection took too long",
    httpcore.ReadTimeout: "no answer came in time",
    httpcore.RemoteProtocolError: "the connection ended within the answer, or the answer is not HTTP",
}
"""By the error of the system or the library that caused it, the narrower class first."""


def cause_of(error: Exception) -> str:
    """Return the type of an error and its cause, where that is known; its text may name addresses and is not used."""
    kind = type(error).__name__
    inner: BaseException | None = error
    while inner:
        for system, words in CAUSES.items():
            if isinstance(inner, system):
                return f"{kind}, {words}"
        inner = inner.__cause__ or inner.__context__
    return kind
