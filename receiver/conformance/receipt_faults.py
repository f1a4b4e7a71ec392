"""Receipts, right and wrong, with the answer that a sender must give."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from portability.trust.signing import CHALLENGE_TYPE, RECEIPT_TYPE
from receiver.conformance.bad_signatures import by_public_key, in_asn1
from receiver.conformance.signers import KitKey, encoded, token

RECEIPT = "docs/transfers.md#receipt"
HOUR = 3600
JTI_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class KitReceipt:
    """What a receipt names, and the key that signs it."""

    issuer: str
    audience: str
    transfer: str
    statement: str
    volumes: int
    possession: str
    key: KitKey
    at: int
    run: str = "kit"
    """Makes ids of receipts unique."""

    def claims(self, name: str) -> dict[str, Any]:
        """Return the claims of a right receipt; `name` makes its id."""
        jti = hashlib.sha256(f"{self.run} {name}".encode()).hexdigest()[:JTI_CHARACTERS]
        return {
            "iss": self.audience,
            "aud": self.issuer,
            "iat": self.at,
            "jti": jti,
            "transfer": self.transfer,
            "transfer_sha256": hashlib.sha256(self.statement.encode()).hexdigest(),
            "status": "received",
            "code": None,
            "volumes": self.volumes,
            "possession": self.possession,
        }

    def right(self, name: str, **changes: Any) -> str:  # noqa: ANN401  # any JSON
        """Return a receipt, with other claims if there are changes."""
        return token({**self.claims(name), **changes}, self.key, RECEIPT_TYPE)


@dataclass(frozen=True, slots=True)
class ReceiptFaultCase:
    """A bad receipt, and the answer to it."""

    rule: str
    status: int
    code: str
    make: Callable[[KitReceipt, str], str]
    """From the right receipt and the name of the case."""


def forged(rule: str, make: Callable[[KitReceipt, str], str]) -> ReceiptFaultCase:
    """Return a receipt that is not validly signed."""
    return ReceiptFaultCase(rule, 401, "forged_receipt", make)


def wrong(rule: str, **changes: Any) -> ReceiptFaultCase:  # noqa: ANN401  # any JSON
    """Return a receipt, validly signed, with a wrong claim."""
    return ReceiptFaultCase(rule, 422, "wrong_receipt", lambda receipt, name: receipt.right(name, **changes))


def _by_stranger(receipt: KitReceipt, name: str) -> str:
    return replace(receipt, key=KitKey("a stranger's receipts", receipt.key.kid)).right(name)


def _unsigned(receipt: KitReceipt, name: str) -> str:
    head = {"alg": "none", "kid": receipt.key.kid, "typ": RECEIPT_TYPE}
    return f"{encoded(orjson.dumps(head))}.{encoded(orjson.dumps(receipt.claims(name)))}."


RECEIPTS: Mapping[str, ReceiptFaultCase] = {
    "receipt-unsigned": forged("the algorithm is ES256", _unsigned),
    "receipt-by-hmac": forged(
        "the algorithm is ES256", lambda one, name: by_public_key(one.claims(name), one.key, RECEIPT_TYPE)
    ),
    "receipt-by-a-substituted-key": forged("the key of the recipient's key set has signed", _by_stranger),
    "receipt-by-an-unknown-key": forged(
        "the key is in the recipient's key set",
        lambda one, name: replace(one, key=KitKey("unknown", "unknown")).right(name),
    ),
    "receipt-of-another-type": forged(
        "`typ` is portability-receipt+jwt", lambda one, name: token(one.claims(name), one.key, CHALLENGE_TYPE)
    ),
    "receipt-in-asn1": forged(
        "a signature is the 64 bytes of r and s", lambda one, name: in_asn1(one.claims(name), one.key, RECEIPT_TYPE)
    ),
    "receipt-of-another-recipient": wrong("`iss` is the recipient's domain", iss="another.example"),
    "receipt-to-another-sender": wrong("`aud` is the sender's issuer", aud="https://another.example"),
    "receipt-of-another-transfer": wrong("`transfer` is the transfer's id", transfer="trf_another"),
    "receipt-of-another-statement": wrong("`transfer_sha256` is that of transfer.jwt", transfer_sha256="0" * 64),
    "receipt-without-possession": wrong("`possession` proves that all files are there", possession=None),
    "receipt-with-a-guessed-possession": wrong("`possession` proves that all files are there", possession="0" * 64),
    "receipt-with-fewer-volumes": wrong("`volumes` is the number of the statement", volumes=0),
    "receipt-with-a-code": wrong("`code` is null for `received`", code="changed"),
    "receipt-without-status": wrong("`status` is received or refused", status="maybe"),
    "receipt-with-a-short-id": wrong("`jti` has 8 to 200 characters", jti="short"),
    "receipt-of-the-future": ReceiptFaultCase(
        "`iat` is at most 300 seconds in the future",
        422,
        "clock_skew",
        lambda one, name: one.right(name, iat=one.at + HOUR),
    ),
    "receipt-before-the-offer": ReceiptFaultCase(
        "`iat` is not before the offer",
        422,
        "clock_skew",
        lambda one, name: one.right(name, iat=one.at - 40 * 24 * HOUR),
    ),
}
