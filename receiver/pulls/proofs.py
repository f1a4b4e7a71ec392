"""What a provider proves with each request: its key set (RFC 7523), and the key of its tokens (DPoP, RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time

import orjson
from joserfc import jws
from joserfc.jwk import ECKey

from portability.api import JSON
from portability.trust.signing import ALGORITHM, ALGORITHMS, SigningKey, sign

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60


def assertion(key: SigningKey, client_id: str, issuer: str) -> dict[str, str]:
    """Return the parameters that authenticate a provider at an authorization server, once. Raises NoSigningKey."""
    present = int(time.time())
    claims: dict[str, JSON] = {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "iat": present,
        "jti": secrets.token_hex(16),
    }
    token = sign({**claims, "exp": present + ASSERTION_SECONDS}, key, typ="JWT")
    return {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


def proof(key: ECKey, method: str, url: str, token: str | None = None) -> str:
    """Return the DPoP proof of one request; `url`: without query; `token`: the access token that comes with it."""
    bound = {} if token is None else {"ath": sha256_base64(token)}
    claims = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(time.time()), **bound}
    jwk = {name: value for name, value in key.as_dict(private=False).items() if name in {"kty", "crv", "x", "y"}}
    header = {"alg": ALGORITHM, "typ": "dpop+jwt", "jwk": jwk}
    return jws.serialize_compact(header, orjson.dumps(claims), key, algorithms=ALGORITHMS)


def sha256_base64(text: str) -> str:
    """Return the SHA-256 of a text as base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
