"""Public keys of age that data is encrypted to: which are safe, and how two people compare them."""

from __future__ import annotations

import hashlib

import pyrage
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from portability.api.errors import BadInput

AGE_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""The characters of Bech32 (BIP 173), in the order of their values."""


class WeakKey(BadInput):
    """A recipient's invalid key, or a key that gives no protection."""

    code = "weak_key"
    default_hint = "ask the recipient to run `age-keygen` and to send the line that begins with age1"


def fingerprint(age_key: str) -> str:
    """Return the begin of the key's SHA-256 in groups, for two people to compare by phone."""
    digest = hashlib.sha256(age_key.encode()).hexdigest()[:32]
    return " ".join(digest[place : place + 4] for place in range(0, len(digest), 4))


def checked(text: str) -> str:
    """Return an age public key for X25519, in lower case. Raises WeakKey."""
    key = text.strip().lower()
    if not key.startswith("age1"):
        raise WeakKey("not an age public key: it must begin with age1")
    try:
        pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError:
        raise WeakKey("not an age public key: a character is missing or wrong") from None
    try:
        # Data encrypted to a point of small order could be decrypted by anyone (RFC 7748, section 6.1).
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(_point(key)))
    except ValueError:
        raise WeakKey("unsafe key: anyone could decrypt data that is encrypted to it") from None
    return key


def _point(key: str) -> bytes:
    """Return the 32 bytes of a key with a valid checksum: 52 characters of 5 bits (BIP 173)."""
    number = 0
    for character in key[4:56]:
        number = number << 5 | AGE_ALPHABET.index(character)
    return (number >> 4).to_bytes(32, "big")
