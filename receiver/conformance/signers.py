"""Keys of the kit: ES256 with deterministic signatures (RFC 6979), so that test vectors have the same bytes each time.

A key is made from a text. The text of a test vector is public, and so is its private key: it protects nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey

from portability.api import JSON
from portability.api.errors import BadInput

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The number of points of P-256 (SEC 2, section 2.4.2)."""
COORDINATE_BYTES = 32


@dataclass(frozen=True)
class KitKey:
    """A private P-256 key that follows from a text; `kid` is its name in a key set."""

    text: str
    kid: str

    @cached_property
    def private(self) -> ec.EllipticCurvePrivateKey:
        """Return the private key."""
        number = int.from_bytes(hashlib.sha512(self.text.encode()).digest())
        return ec.derive_private_key(number % (ORDER - 1) + 1, ec.SECP256R1())

    def sign(self, message: bytes) -> bytes:
        """Return the signature ES256 of a message: the 64 bytes of r and s."""
        numbers = decode_dss_signature(self.sign_der(message))
        return b"".join(number.to_bytes(COORDINATE_BYTES) for number in numbers)

    def sign_der(self, message: bytes) -> bytes:
        """Return the same signature in ASN.1, as TLS and X.509 write it: not valid in a JWS."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def public_jwk(self, **more: JSON) -> dict[str, JSON]:
        """Return the public key as a JWK, with more members such as `revoked_at`."""
        numbers = self.private.public_key().public_numbers()
        point = {"x": _number(numbers.x), "y": _number(numbers.y)}
        return {"kty": "EC", "crv": "P-256", **point, "kid": self.kid, "use": "sig", "alg": "ES256", **more}

    def private_jwk(self) -> dict[str, JSON]:
        """Return the private key as a JWK."""
        return {**self.public_jwk(), "d": _number(self.private.private_numbers().private_value)}


@dataclass(frozen=True)
class LoadedKey(KitKey):
    """A private key of a file, as `--receipt-key` names it."""

    loaded: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, key: ECKey) -> LoadedKey:
        """Return a private key of a library. Raises BadInput for a public key."""
        if key.private_key is None:
            raise BadInput("the receipt key is not private")
        return cls("", str(key.kid), key.private_key)

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        """Return the private key."""
        return self.loaded


def token(claims: Mapping[str, Any], key: KitKey, typ: str, *, header: Mapping[str, JSON] | None = None) -> str:
    """Return a compact JWS whose header has `alg`, `kid` and `typ`, or exactly the members of `header`."""
    head = {"alg": "ES256", "kid": key.kid, "typ": typ} if header is None else header
    signed = f"{encoded(orjson.dumps(head))}.{encoded(orjson.dumps(claims))}"
    return f"{signed}.{encoded(key.sign(signed.encode()))}"


def encoded(part: bytes) -> str:
    """Return a part of a JWS: base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _number(value: int) -> str:
    return encoded(value.to_bytes(COORDINATE_BYTES))
