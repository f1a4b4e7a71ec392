"""The document in which a provider states its keys and addresses, signed here by PyJWT."""

from __future__ import annotations

import time
from typing import Any

import jwt
from joserfc.jwk import ECKey
from listener import Heard, Reply
from transferring import Provider

DAY = 86_400


def stated(third: Provider, **changed: object) -> dict[str, Any]:
    """What the provider says of itself; None takes a claim away."""
    present = int(time.time())
    claims = {
        "iss": "localhost",
        "iat": present,
        "exp": present + 7 * DAY,
        "name": "Other Care",
        "age_key": str(third.identity.to_public()),
        "jwks_url": f"{third.server.url}/jwks.json",
        "webhook_url": f"{third.server.url}/hook",
        "formats": ["portability/1"],
    }
    return {name: value for name, value in {**claims, **changed}.items() if value is not None}


def publish(
    third: Provider, claims: dict[str, Any], key: ECKey | None = None, typ: str = "portability-provider+jwt"
) -> None:
    """Have the provider answer with a document."""
    signed = jwt.encode(claims, (key or third.key).as_pem(private=True), "ES256", {"kid": "their-1", "typ": typ})
    usual = Provider.reply

    def reply(heard: Heard) -> Reply:
        return (200, {}, signed.encode()) if heard.path == "/.well-known/portability" else usual(third, heard)

    third.server.reply = reply
