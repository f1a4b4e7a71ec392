"""Answers to a sender's challenges, and statements about new keys (docs/receiving.md#challenges-and-new-keys)."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from datetime import datetime

import pyrage
from pyrage import x25519

from portability import strict_json
from portability.api import JSON
from portability.api.errors import BadInput
from portability.trust.signing import CHALLENGE_TYPE, ROTATION_TYPE, SigningKey, sign

CHALLENGE = "recipient.challenge"
BEGIN = "recipient-challenge-1"


def answer(
    body: bytes,
    identities: Sequence[x25519.Identity],
    key: SigningKey,
    *,
    audience: str,
    issued_at: datetime | None = None,
) -> str:
    """Return the answer to a challenge: its text is decrypted, and its SHA-256 is signed.

    Only a text that begins as challenges do, for this audience, is answered: nothing else is decrypted for a sender.

    Args:
        body: the body of a webhook of the type `recipient.challenge`, whose signature was checked.
        identities: our age keys.
        key: the private key of our receipts.
        audience: our domain as the sender has recorded it.
        issued_at: the time by the clock that decides; None: that of this machine.

    Raises: BadInput.
    """
    try:
        data = strict_json.parse(body)["data"]
        text = pyrage.decrypt(base64.b64decode(data["sealed"], validate=True), list(identities))
        begin, issuer, domain, *_ = text.decode("ascii").split("\n")
    except (KeyError, TypeError, ValueError, pyrage.DecryptError) as error:
        raise BadInput(f"the challenge cannot be decrypted or read: {type(error).__name__}") from None
    if (begin, issuer, domain) != (BEGIN, data.get("issuer"), audience):
        raise BadInput("the decrypted text is not a challenge of this sender for this recipient")
    proof = hashlib.sha256(text).hexdigest()
    issued = int(issued_at.timestamp() if issued_at else time.time())
    return sign({"iss": audience, "aud": issuer, "iat": issued, "proof": proof}, key, typ=CHALLENGE_TYPE)


def rotation(
    key: SigningKey, *, audience: str, issuer: str, recipient: str, replaces: str, age_key: str, **addresses: str
) -> str:
    """Return the statement that gives us a new age key at a sender.

    Args:
        key: a private key of the recorded key set.
        audience: our domain as the sender has recorded it.
        issuer: the sender.
        recipient: our id at the sender, `rcp_...`.
        replaces: the public age key that is recorded.
        age_key: the new public age key.
        addresses: `jwks_url` and `webhook_url`, where they change too.
    """
    names: dict[str, JSON] = {"iss": audience, "aud": issuer, "iat": int(time.time()), "recipient": recipient}
    keys: dict[str, JSON] = {"replaces": replaces, "age_key": age_key, **addresses}
    return sign({**names, **keys}, key, typ=ROTATION_TYPE)
