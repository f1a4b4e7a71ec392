"""Tokens of links: every text costs the same work, so that the time of an answer says nothing about it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from portability.trust import signing
from portability.trust.signing import ALGORITHMS, LINK_TYPE, Jwks, SignatureFault, check, sign

TOKEN_MAX = 2048


def read(token: str, jwks: Jwks) -> Mapping[str, Any] | None:
    """Return the claims of a token that we signed, None for any other; it always costs one signature check."""
    checked = False
    if len(token) <= TOKEN_MAX:
        try:
            claims = check(token, jwks, typ=LINK_TYPE)
        except SignatureFault as error:
            checked = error.checked
        else:
            return claims if {type(claims.get("exp")), type(claims.get("iat"))} == {int} else None
    if not checked:
        _check_decoy()
    return None


def kid_of(token: str) -> str | None:
    """Return the name of the key that a token says has signed it, unchecked; None: it has not the form of a token."""
    with suppress(SignatureFault):
        return signing.kid_of(token, typ=LINK_TYPE)
    return None


def _check_decoy() -> None:
    token, key = _decoy()
    with suppress(ValueError):
        jws.deserialize_compact(token, key, algorithms=ALGORITHMS)


@cache
def _decoy() -> tuple[str, ECKey]:
    """Make a token and its key, so that an unreadable token costs the same work as a readable one."""
    key = ECKey.generate_key("P-256", {"kid": "decoy", "use": "sig", "alg": "ES256"})
    return sign({"jti": secrets.token_urlsafe(24), "iat": 0, "exp": 0}, key, typ=LINK_TYPE), key
