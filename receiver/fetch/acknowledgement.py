"""Acknowledgements of a sender's notices about a transfer (docs/receiving.md#notices)."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime

from portability import strict_json
from portability.api.errors import BadInput
from portability.trust.signing import NOTICE_TYPE, SigningKey, sign

KINDS = frozenset({"withdrawn", "expired", "rectified", "erased"})


def acknowledge(body: bytes, key: SigningKey, *, audience: str, issued_at: datetime | None = None) -> str:
    """Return the answer to a notice: it states that we have received these bytes.

    Args:
        body: the body of a webhook of the type `transfer.<kind>`, whose signature was checked.
        key: the private key of our receipts.
        audience: our domain as the sender has recorded it.
        issued_at: the time by the clock that decides; None: that of this machine.

    Raises: BadInput.
    """
    try:
        document = strict_json.parse(body)
        begin, kind = document["type"].split(".")
        data = document["data"]
        named = {name: data[name] for name in ("notice", "transfer", "issuer")}
        for_us = data["audience"] == audience
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"the notice cannot be read: {type(error).__name__}") from None
    is_notice = begin == "transfer" and kind in KINDS and all(isinstance(text, str) for text in named.values())
    if not is_notice or not for_us:
        raise BadInput("the webhook is not a notice for this recipient")
    issuer, issued = named.pop("issuer"), int(issued_at.timestamp() if issued_at else time.time())
    claims = {"iss": audience, "aud": issuer, "iat": issued, **named, "kind": kind}
    return sign({**claims, "notice_sha256": hashlib.sha256(body).hexdigest()}, key, typ=NOTICE_TYPE)
