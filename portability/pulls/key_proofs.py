"""Proofs of keys: a provider's assertion by its key set (RFC 7523), and the proof of each request (DPoP, RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from portability import strict_json
from portability.pulls.refusals import OAuthFault, PullRefused
from portability.trust.signing import ALGORITHMS, Jwks, PublicKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS_MAX = 3800
"""How long an assertion is remembered: it may end an hour from now, give or take what clocks differ."""
PROOF_TYPE = "dpop+jwt"
PROOF_SECONDS = 60
"""How far `iat` of a proof may be from now: a proof is made for each request. Clocks may differ as much."""
ID_MAX = 200
PUBLIC = frozenset({"kty", "crv", "x", "y"})

FirstUse = Callable[[str, int], bool]
"""Remembers an id for some seconds; returns whether it was not known."""


def asserted_client(assertion: str) -> str:
    """Return the `sub` of an assertion without checking it: whose keys to check it with. Raises PullRefused."""
    try:
        return str(_claims(jws.extract_compact(assertion.encode()).payload)["sub"])
    except (JoseError, ValueError, KeyError):
        raise PullRefused(OAuthFault.INVALID_CLIENT, "the client assertion is not a JWT with `sub`") from None


def check_assertion(
    assertion: str, jwks: Jwks, recipient: Mapping[Any, Any], issuer: str, first_use: FirstUse, present: datetime
) -> None:
    """Check that a provider has signed an assertion for this deployment, once (RFC 7523, 3).

    Args:
        assertion: a JWT by a key of the provider.
        jwks: the provider's key set.
        recipient: the provider's row.
        issuer: this deployment, the only audience: not the address of an endpoint.
        first_use: remembers ids.
        present: the time of the control database.

    Raises: PullRefused (`invalid_client`).
    """
    whose = {"recipient_id": recipient["id"]}
    try:
        public = jwks.keys[str(jws.extract_compact(assertion.encode()).headers()["kid"])]
        claims = _claims(jws.deserialize_compact(assertion, public.key, algorithms=[*ALGORITHMS]).payload)
        wanted = {"iss": recipient["domain"], "sub": recipient["domain"], "aud": issuer}
        fault = _assertion_fault(claims, wanted, public, present)
        if not fault and not _is_first(first_use, f"assertion {recipient['id']}", claims, ASSERTION_SECONDS_MAX):
            fault = "jti was used before"
    except (JoseError, ValueError, KeyError, TypeError) as error:
        fault = type(error).__name__
    if fault:
        raise PullRefused(OAuthFault.INVALID_CLIENT, f"the client assertion is not valid: {fault}", **whose)


def _assertion_fault(
    claims: Mapping[str, Any], wanted: Mapping[str, str], public: PublicKey, present: datetime
) -> str | None:
    if wrong := sorted(name for name, value in wanted.items() if claims.get(name) != value):
        return ", ".join(wrong)
    left = claims["exp"] - present.timestamp()
    if not -PROOF_SECONDS < left < ASSERTION_SECONDS_MAX - PROOF_SECONDS:
        return "exp"
    signed_late = public.retired_at and claims["iat"] > public.retired_at.timestamp()
    return "its key is retired or revoked" if public.revoked_at or signed_late else None


def check_proof(
    proofs: list[str], *, method: str, url: str, first_use: FirstUse, present: datetime, token: str | None = None
) -> str:
    """Check the DPoP proof of a request; returns the thumbprint of its key (RFC 7638).

    Args:
        proofs: the values of the header DPoP.
        method: of the request.
        url: of the request, without query.
        first_use: remembers ids.
        present: the time of the control database.
        token: the access token that came with it; None: none did.

    Raises: PullRefused (`invalid_dpop_proof`).
    """
    try:
        (proof,) = proofs
        header = jws.extract_compact(proof.encode()).headers()
        key = _public_key(header["jwk"])
        claims = _claims(jws.deserialize_compact(proof, key, algorithms=[*ALGORITHMS]).payload)
        fault = _proof_fault(header, claims, method, url, token) or _time_fault(claims, present)
        thumbprint = key.thumbprint()
    except (JoseError, ValueError, KeyError, TypeError) as error:
        fault, thumbprint, claims = type(error).__name__, "", {}
    if not fault and not _is_first(first_use, f"proof {thumbprint}", claims, 2 * PROOF_SECONDS):
        fault = "jti was used before"
    if fault:
        raise PullRefused(OAuthFault.INVALID_DPOP_PROOF, f"the DPoP proof is not valid: {fault}")
    return thumbprint


def _proof_fault(
    header: Mapping[str, Any], claims: Mapping[str, Any], method: str, url: str, token: str | None
) -> str | None:
    if header.get("typ") != PROOF_TYPE:
        return "typ"
    if claims["htm"] != method:
        return "htm"
    if str(claims["htu"]).partition("?")[0].partition("#")[0] != url:
        return "htu"
    if token is not None and not hmac.compare_digest(str(claims["ath"]).encode(), sha256_base64(token).encode()):
        return "ath"
    return None


def _time_fault(claims: Mapping[str, Any], present: datetime) -> str | None:
    issued = claims["iat"]
    is_near = type(issued) is int and abs(present.timestamp() - issued) <= PROOF_SECONDS
    return None if is_near else "iat"


def sha256_base64(text: str) -> str:
    """Return the SHA-256 of a text as base64url without padding, as `ath` and `S256` have it."""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _is_first(first_use: FirstUse, whose: str, claims: Mapping[str, Any], seconds: int) -> bool:
    identifier = claims["jti"]
    if not isinstance(identifier, str) or not 0 < len(identifier) <= ID_MAX:
        raise ValueError("jti")
    return first_use(f"{whose} {identifier}", seconds)


def _public_key(jwk: object) -> ECKey:
    """Return the key of a proof; ValueError if it is private, or not one for ES256."""
    if not isinstance(jwk, dict) or "d" in jwk or (jwk.get("kty"), jwk.get("crv")) != ("EC", "P-256"):
        raise ValueError("jwk")
    return ECKey.import_key({name: str(jwk[name]) for name in PUBLIC})


def _claims(payload: bytes) -> dict[str, Any]:
    claims = strict_json.parse(payload)
    return dict(claims.items()) if isinstance(claims, dict) else {}
