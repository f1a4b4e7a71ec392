"""Acknowledgements: a recipient signs, in its answer to a notice, that it has received it (ADR 56)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portability.messages import recipient_notices, webhooks
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.transfers import key_sets, recipients
from portability.trust.signing import NOTICE_TYPE, SignatureFault, check, check_clock

OK, GONE = 200, "status_410"
"""410: the recipient wants no more webhooks (Standard Webhooks)."""
TOKEN_BYTES = 4096
WRONG_CLAIMS = "wrong_claims"


def post(
    client: SafeHttpClient, settings: Settings, notice: Mapping[Any, Any], to: Mapping[Any, Any], present: datetime
) -> tuple[str | None, str | None]:
    """Post a notice; returns the recipient's acknowledgement, or None and the code of what was wrong with its answer.

    It sends requests: call it outside of a transaction. `present` is the time of the control database.
    The code is a status (`status_500`), the fault of the signature, or `wrong_claims`.

    Raises: ClockSkew, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    body = recipient_notices.content(notice, issuer=settings.iss, audience=to["domain"])
    headers = webhooks.headers(notice, body, recipients.webhook_secret(settings.keys, to), present)
    answer = client.post(to["webhook_url"], body, headers=headers)
    if answer.status != OK:
        return None, f"status_{answer.status}"
    # A longer text is cut, and its signature no longer matches.
    token = answer.body[:TOKEN_BYTES].decode("ascii", "replace").strip()
    try:
        claims = check(token, key_sets.fetch(client, to["jwks_url"]), typ=NOTICE_TYPE)
    except SignatureFault as fault:
        return None, fault.fault
    # No other claim: what is stored after an erasure contains no personal data.
    named = {"notice": notice["id"], "transfer": notice["transfer_id"], "kind": notice["kind"]}
    signed = {**named, "notice_sha256": hashlib.sha256(body).hexdigest(), "iss": to["domain"], "aud": settings.iss}
    if {name: value for name, value in claims.items() if name != "iat"} != signed:
        return None, WRONG_CLAIMS
    check_clock(claims["iat"], what="the acknowledgement", earliest=notice["created_at"], present=present)
    return token, None
