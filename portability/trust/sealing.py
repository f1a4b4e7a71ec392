"""Sealed values: texts that the database must not contain readable, encrypted with a key derived from the link key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from portability.errors import NoSigningKey
from portability.trust import keys


def cipher(keys_folder: Path, kid: str, purpose: bytes) -> Fernet:
    """Return the cipher for one purpose of a link key. Raises NoSigningKey if its file is not on this machine."""
    private = keys.private(keys_folder, kid).as_der(private=True)
    return Fernet(base64.urlsafe_b64encode(hmac.digest(private, purpose, hashlib.sha256)))


def opened(keys_folder: Path, kid: str, purpose: bytes, sealed: str | bytes) -> bytes:
    """Decrypt what the cipher of a link key has encrypted. Raises NoSigningKey, also if its file has another key."""
    try:
        return cipher(keys_folder, kid, purpose).decrypt(sealed)
    except InvalidToken:
        keys.forget_files()
        seen = f"the file of the private key {kid} does not open what this key has sealed"
        raise NoSigningKey(seen, hint=keys.COPY_HINT) from None
