"""Key stores: where private keys are that sign without being in any process, such as an HSM or a cloud's KMS.

A plug-in of the group `portability.key_stores` is named by the scheme of its URIs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias


class KeyHandle(Protocol):
    """A private key on the curve P-256 that stays in its store. It is used by several threads, and in forks."""

    def public_key(self) -> bytes:
        """Return the public half as the DER of a SubjectPublicKeyInfo (RFC 5480 section 2).

        Raises: any error; the host repeats only its type, because its text may contain secrets.
        """

    def sign(self, message: bytes) -> bytes:
        """Return the signature ES256 of a message: the 64 bytes of r and s (RFC 7518 section 3.4). Raises as above."""


KeyStoreFactory: TypeAlias = Callable[[str], KeyHandle]
"""Opens the key of a URI, without any connection yet. Raises BadSetting for an invalid URI."""
