"""Bad archives whose signature is wrong: its algorithm, its key, its form or its claims."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from portability.api import JSON
from portability.trust.signing import ARCHIVE_TYPE, RECEIPT_TYPE
from receiver.conformance import archive_faults as faults
from receiver.conformance.archive_faults import Cases, KitParty, Make
from receiver.conformance.bad_zips import case
from receiver.conformance.drafts import made
from receiver.conformance.signers import KitKey, encoded, token

EMBEDDED = "jwk"
Claims = Mapping[str, Any]


def typed(**claims: JSON) -> Make:
    """Return the good volume, signed with other claims; None leaves a claim out."""
    return lambda party: [made(faults.draft(party, claims=claims))]


def by(signer: Callable[[Claims, KitKey, KitParty], str | None]) -> Make:
    """Return the good volume with a signature that is made in another way; None leaves the file out."""
    return lambda party: [made(faults.draft(party, sign=lambda claims, key: signer(claims, key, party)))]


def _by_none(claims: Claims, key: KitKey, _party: KitParty) -> str:
    head = {"alg": "none", "kid": key.kid, "typ": ARCHIVE_TYPE}
    return f"{encoded(orjson.dumps(head))}.{encoded(orjson.dumps(claims))}."


def by_public_key(claims: Claims, key: KitKey, typ: str) -> str:
    """Return a token signed by HMAC with the public key as its secret: what a careless verifier accepts."""
    head = {"alg": "HS256", "kid": key.kid, "typ": typ}
    text = f"{encoded(orjson.dumps(head))}.{encoded(orjson.dumps(claims))}"
    secret = orjson.dumps(key.public_jwk())
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def in_asn1(claims: Claims, key: KitKey, typ: str) -> str:
    """Return a token with a good signature in the wrong encoding."""
    text = token(claims, key, typ).rpartition(".")[0]
    return f"{text}.{encoded(key.sign_der(text.encode()))}"


def not_canonical(text: str) -> str:
    """Return a token with another spelling of its last character, whose spare bits are not zero (RFC 4648, 3.5)."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + letters[letters.index(text[-1]) + 1]


def _with_own_key(claims: Claims, _key: KitKey, party: KitParty) -> str:
    """Return a token that brings its own key along in its header."""
    head: dict[str, JSON] = {
        "alg": "ES256",
        "kid": _key.kid,
        "typ": ARCHIVE_TYPE,
        EMBEDDED: party.stranger.public_jwk(),
    }
    return token(claims, party.stranger, ARCHIVE_TYPE, header=head)


def spliced(text: str, claims: Claims) -> str:
    """Return a token with the signature of other claims."""
    head, _, signature = text.split(".")
    return f"{head}.{encoded(orjson.dumps(claims))}.{signature}"


SIGNED: Cases = {
    "no-signature": case("each volume is signed", faults.SIGNATURE, "missing", by(lambda *_: None)),
    "empty-signature": case(
        "an empty file does not sign a volume", faults.SIGNATURE, "malformed_jws", by(lambda *_: "")
    ),
    "algorithm-none": case("the algorithm is ES256", faults.SIGNATURE, "forbidden_algorithm", by(_by_none)),
    "hmac-with-public-key": case(
        "the algorithm is ES256",
        faults.SIGNATURE,
        "forbidden_algorithm",
        by(lambda claims, key, _: by_public_key(claims, key, ARCHIVE_TYPE)),
    ),
    "substituted-key": case(
        "the key of the key set has signed",
        faults.SIGNATURE,
        "bad_signature",
        by(lambda claims, key, party: token(claims, replace(party.stranger, kid=key.kid), ARCHIVE_TYPE)),
    ),
    "unknown-key": case(
        "the key is in the key set",
        faults.SIGNATURE,
        "unknown_key",
        by(lambda claims, _, party: token(claims, party.stranger, ARCHIVE_TYPE)),
    ),
    "revoked-key": case(
        "a revoked key signs nothing",
        faults.SIGNATURE,
        "revoked_key",
        by(lambda claims, _, party: token(claims, party.revoked, ARCHIVE_TYPE)),
    ),
    "signed-after-retirement": case(
        "a retired key signs nothing later",
        faults.SIGNATURE,
        "signed_after_retirement",
        by(lambda claims, _, party: token(claims, party.retired, ARCHIVE_TYPE)),
    ),
    "token-of-another-type": case(
        "`typ` is that of an archive",
        faults.SIGNATURE,
        "wrong_type",
        by(lambda claims, key, _: token(claims, key, RECEIPT_TYPE)),
    ),
    "key-in-the-header": case(
        "the header has alg, kid and typ only", faults.SIGNATURE, "malformed_jws", by(_with_own_key)
    ),
    "signature-in-asn1": case(
        "a signature is the 64 bytes of r and s",
        faults.SIGNATURE,
        "bad_signature",
        by(lambda claims, key, _: in_asn1(claims, key, ARCHIVE_TYPE)),
    ),
    "not-canonical": case(
        "base64url has one spelling",
        faults.SIGNATURE,
        "bad_signature",
        by(lambda claims, key, _: not_canonical(token(claims, key, ARCHIVE_TYPE))),
    ),
    "changed-claim": case(
        "the signature is that of the claims",
        faults.SIGNATURE,
        "bad_signature",
        by(lambda claims, key, _: spliced(token(claims, key, ARCHIVE_TYPE), {**claims, "profile": "switch"})),
    ),
    "claim-left-out": case("all claims are there", faults.SIGNATURE, "bad_claims", typed(head_sha256=None)),
    "claim-of-another-type": case("claims have their types", faults.SIGNATURE, "bad_claims", typed(files="2")),
    "time-is-a-text": case("`iat` is a number", faults.SIGNATURE, "bad_claims", typed(iat="now")),
    "other-head": case(
        "`head_sha256` covers all bytes before the signature",
        faults.SIGNATURE,
        "repacked",
        typed(head_sha256="0" * 64),
    ),
}
