"""Why a source cannot be reached, in words for an operator; the library says `ConnectError` for each cause."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

import httpx

CAUSES: Mapping[type[BaseException], str] = {
    socket.gaierror: "its host has no address",
    ssl.SSLCertVerificationError: "its certificate is not valid, or of an unknown authority",
    ssl.SSLError: "TLS with it fails",
    ConnectionRefusedError: "nothing listens there",
}
"""By the error of the system that caused it, the narrower class first."""


def cause_of(error: httpx.TransportError) -> str:
    """Return the type of an error and its cause, where that is known; its text may name addresses and is not used."""
    kind, inner = type(error).__name__, error.__cause__ or error.__context__
    while inner:
        for system, words in CAUSES.items():
            if isinstance(inner, system):
                return f"{kind}, {words}"
        inner = inner.__cause__ or inner.__context__
    return kind
