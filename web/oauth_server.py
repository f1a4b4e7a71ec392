"""This deployment as an authorization server (docs/pull.md): its identifier and its endpoints."""

from __future__ import annotations

from web.context import AppContext

PAR, TOKEN, REVOKE, AUTHORIZE = "/v1/oauth/par", "/v1/oauth/token", "/v1/oauth/revoke", "/oauth/authorize"


def issuer(place: AppContext) -> str:
    """Return the issuer identifier of this deployment (RFC 8414, 2)."""
    return place.settings.base_url.rstrip("/")
