"""Faults of offers: of transfer.jwt, of volumes.json, and of the encrypted volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyrage

from portability.api import JSON
from portability.trust.signing import RECEIPT_TYPE, TRANSFER_TYPE
from receiver.conformance.bad_signatures import EMBEDDED, by_public_key, in_asn1, not_canonical, spliced
from receiver.conformance.offers import JSON_DOCUMENT, KitOffer, OfferedDocuments, right
from receiver.conformance.signers import KitKey, encoded, token

STATEMENT = "docs/transfers.md#statement"
RECEIVING = "docs/receiving.md#what-it-does"
HOUR = 3600
Make = Callable[[KitOffer], OfferedDocuments]


@dataclass(frozen=True, slots=True)
class OfferFaultCase:
    """A bad offer."""

    rule: str
    section: str
    code: str
    """What the receiver says of it."""
    make: Make
    has_receipt: bool = True
    """Whether the sender gets a refusal: a statement that is not valid gives no address that can be believed."""


Cases = Mapping[str, OfferFaultCase]


def claiming(**changes: Any) -> Make:  # noqa: ANN401  # any JSON
    """Return the offer with other claims, validly signed."""

    def make(offer: KitOffer) -> OfferedDocuments:
        documents = right(offer)
        return replace(documents, statement=offer.statement(documents.listed, changes))

    return make


def later(name: str, seconds: int) -> Make:
    """Return the offer with a time that differs from now."""
    return lambda offer: claiming(**{name: offer.party.issuer.at + seconds})(offer)


def signing(sign: Callable[[JSON_DOCUMENT, KitOffer], str]) -> Make:
    """Return the offer with another signature."""

    def make(offer: KitOffer) -> OfferedDocuments:
        documents = right(offer)
        return replace(documents, statement=sign(offer.claims(documents.listed), offer))

    return make


def by_key(key: Callable[[KitOffer], KitKey]) -> Make:
    """Return the offer, signed by another key."""
    return signing(lambda claims, offer: token(claims, key(offer), TRANSFER_TYPE))


def listing(change: Callable[[JSON_DOCUMENT], object], **claims: Any) -> Make:  # noqa: ANN401  # any JSON
    """Return the offer with another list, whose hash is signed."""

    def make(offer: KitOffer) -> OfferedDocuments:
        document = offer.list_document()
        change(document)
        listed = orjson.dumps(document)
        return OfferedDocuments(offer.statement(listed, claims), listed, offer.sent)

    return make


def relisted(change: Callable[[bytes], bytes]) -> Make:
    """Return the offer with a list that is not the signed list."""

    def make(offer: KitOffer) -> OfferedDocuments:
        documents = right(offer)
        return replace(documents, listed=change(documents.listed))

    return make


def unread(listed: bytes) -> Make:
    """Return the offer with a list of other bytes, whose hash is signed."""
    return lambda offer: OfferedDocuments(offer.statement(listed), listed, offer.sent)


def sending(change: Callable[[bytes], bytes], *, listed: bool = False) -> Make:
    """Return the offer with another file for its first volume; `listed`: the list has the hash of that file."""

    def make(offer: KitOffer) -> OfferedDocuments:
        sent = [change(offer.sent[0]), *offer.sent[1:]]
        documents = right(replace(offer, sent=sent) if listed else offer)
        return replace(documents, sent=sent)

    return make


def sealed_otherwise(seal: Callable[[bytes], bytes]) -> Make:
    """Return the offer whose first volume is encrypted in another way."""

    def make(offer: KitOffer) -> OfferedDocuments:
        return right(replace(offer, sent=[seal(offer.volumes[0].data), *offer.sent[1:]]))

    return make


def to_a_stranger(data: bytes) -> bytes:
    """Return data, encrypted to a key that no one has."""
    return bytes(pyrage.encrypt(data, [pyrage.x25519.Identity.generate().to_public()]))


def _unsigned(claims: JSON_DOCUMENT, offer: KitOffer) -> str:
    head = {"alg": "none", "kid": offer.key.kid, "typ": TRANSFER_TYPE}
    return f"{encoded(orjson.dumps(head))}.{encoded(orjson.dumps(claims))}."


def _with_own_key(claims: JSON_DOCUMENT, offer: KitOffer) -> str:
    stranger = offer.party.stranger
    head: dict[str, JSON] = {
        "alg": "ES256",
        "kid": offer.key.kid,
        "typ": TRANSFER_TYPE,
        EMBEDDED: stranger.public_jwk(),
    }
    return token(claims, stranger, TRANSFER_TYPE, header=head)


def _first(**changes: Any) -> Callable[[JSON_DOCUMENT], object]:  # noqa: ANN401  # any JSON
    return lambda document: document["volumes"][0].update(changes)


def _encrypted(**changes: Any) -> Callable[[JSON_DOCUMENT], object]:  # noqa: ANN401  # any JSON
    return lambda document: document["volumes"][0]["encrypted"].update(changes)


def _flipped(data: bytes) -> bytes:
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


def bad_statement(rule: str, make: Make, code: str = "bad_statement") -> OfferFaultCase:
    """Return an offer with a statement that is not valid."""
    return OfferFaultCase(rule, STATEMENT, code, make, has_receipt=False)


STATEMENTS: Cases = {
    "statement-unsigned": bad_statement("the algorithm is ES256", signing(_unsigned)),
    "statement-by-hmac": bad_statement(
        "the algorithm is ES256", signing(lambda claims, offer: by_public_key(claims, offer.key, TRANSFER_TYPE))
    ),
    "statement-by-a-substituted-key": bad_statement(
        "the key of the key set has signed", by_key(lambda offer: replace(offer.party.stranger, kid=offer.key.kid))
    ),
    "statement-by-an-unknown-key": bad_statement(
        "the key is in the key set", by_key(lambda offer: offer.party.stranger)
    ),
    "statement-by-a-revoked-key": bad_statement(
        "a revoked key signs nothing", by_key(lambda offer: offer.party.revoked)
    ),
    "statement-by-a-retired-key": bad_statement(
        "a retired key signs nothing later", by_key(lambda offer: offer.party.retired)
    ),
    "statement-with-its-own-key": bad_statement("the header has alg, kid and typ only", signing(_with_own_key)),
    "statement-of-another-type": bad_statement(
        "`typ` is portability-transfer+jwt", signing(lambda claims, offer: token(claims, offer.key, RECEIPT_TYPE))
    ),
    "statement-in-asn1": bad_statement(
        "a signature is the 64 bytes of r and s",
        signing(lambda claims, offer: in_asn1(claims, offer.key, TRANSFER_TYPE)),
    ),
    "statement-not-canonical": bad_statement(
        "base64url has one spelling",
        signing(lambda claims, offer: not_canonical(token(claims, offer.key, TRANSFER_TYPE))),
    ),
    "statement-changed": bad_statement(
        "the signature is that of the claims",
        signing(
            lambda claims, offer: spliced(token(claims, offer.key, TRANSFER_TYPE), {**claims, "profile": "switch"})
        ),
    ),
    "statement-of-another-issuer": bad_statement(
        "`iss` is the sender's issuer", claiming(iss="https://other-sender.example")
    ),
    "statement-of-another-transfer": bad_statement("`jti` is the transfer's id", claiming(jti="trf_another")),
    "statement-without-consent": bad_statement("`consent` names the authorisation", claiming(consent=None)),
    "statement-without-subject": bad_statement("`sub` is there", claiming(sub=None)),
    "statement-of-another-profile": bad_statement("the profile is portability or switch", claiming(profile="access")),
    "statement-without-list": bad_statement("`list` signs volumes.json", claiming(list=None)),
    "statement-without-volumes": bad_statement(
        "a list has at least 1 volume", claiming(list={"volumes": 0, "bytes": 10, "sha256": "0" * 64})
    ),
    "statement-with-a-huge-list": bad_statement(
        "a list has at most 64 MiB", claiming(list={"volumes": 1, "bytes": 1 << 40, "sha256": "0" * 64})
    ),
    "statement-with-a-bad-nonce": bad_statement("`nonce` is hexadecimal", claiming(nonce="not hexadecimal")),
    "statement-without-end": bad_statement("`exp` is there", claiming(exp=None)),
    "statement-expired": bad_statement("`exp` is in the future", later("exp", -HOUR), "statement_expired"),
    "statement-of-the-future": bad_statement("`iat` is not in the future", later("iat", HOUR), "clock_skew"),
    "statement-for-another": OfferFaultCase(
        "`aud` is the recipient's domain", STATEMENT, "wrong_audience", claiming(aud="another.example")
    ),
}
LISTS: Cases = {
    "list-with-other-bytes": OfferFaultCase(
        "volumes.json has the signed size", STATEMENT, "wrong_list", relisted(lambda text: text[:-1])
    ),
    "list-with-another-hash": OfferFaultCase(
        "volumes.json has the signed SHA-256",
        STATEMENT,
        "wrong_list",
        relisted(lambda text: text.replace(b'"number":1', b'"number":2')),
    ),
    "list-of-another-transfer": OfferFaultCase(
        "`transfer` is that of the statement",
        STATEMENT,
        "wrong_list",
        listing(lambda document: document.update(transfer="trf_another")),
    ),
    "list-of-another-closing": OfferFaultCase(
        "`closing` is that of the statement",
        STATEMENT,
        "wrong_list",
        listing(lambda document: document.update(closing="another")),
    ),
    "list-with-another-number": OfferFaultCase(
        "the list has the signed number of volumes",
        STATEMENT,
        "wrong_list",
        listing(lambda document: document["volumes"].append(_copy(document["volumes"][0]))),
    ),
    "list-that-is-not-json": OfferFaultCase("the list is JSON", STATEMENT, "wrong_list", unread(b"1 volume\n")),
    "list-with-a-path": OfferFaultCase(
        "a volume's name has no folder", RECEIVING, "wrong_list", listing(_first(name="../../evil.zip"))
    ),
    "list-with-a-path-of-encrypted": OfferFaultCase(
        "a volume's name has no folder", RECEIVING, "wrong_list", listing(_encrypted(name="../../evil.zip.age"))
    ),
    "list-without-hash": OfferFaultCase(
        "each volume has its SHA-256", RECEIVING, "wrong_list", listing(_first(sha256=None))
    ),
    "list-with-a-negative-size": OfferFaultCase(
        "each volume has its size", RECEIVING, "wrong_list", listing(_encrypted(bytes=-1))
    ),
}
SENT: Cases = {
    "volume-with-another-hash": OfferFaultCase(
        "an encrypted file has the listed SHA-256", RECEIVING, "changed", sending(_flipped)
    ),
    "volume-that-is-longer": OfferFaultCase(
        "an encrypted file has the listed size", RECEIVING, "changed", sending(lambda data: data + b"\0" * 64)
    ),
    "volume-that-is-shorter": OfferFaultCase(
        "an encrypted file has the listed size", RECEIVING, "changed", sending(lambda data: data[:-64])
    ),
    "volume-to-another-key": OfferFaultCase(
        "a volume is encrypted to the recipient", RECEIVING, "wrong_key", sealed_otherwise(to_a_stranger)
    ),
    "volume-not-encrypted": OfferFaultCase(
        "a volume is encrypted", RECEIVING, "changed", sealed_otherwise(lambda data: data)
    ),
    "volume-with-damaged-encryption": OfferFaultCase(
        "an encrypted file can be decrypted", RECEIVING, "changed", sending(_flipped, listed=True)
    ),
    "volume-cut-in-its-encryption": OfferFaultCase(
        "an encrypted file can be decrypted", RECEIVING, "changed", sending(lambda data: data[:-64], listed=True)
    ),
    "decrypted-with-another-hash": OfferFaultCase(
        "a decrypted volume has the listed SHA-256", RECEIVING, "changed", listing(_first(sha256="0" * 64))
    ),
    "decrypted-with-another-size": OfferFaultCase(
        "a decrypted volume has the listed size", RECEIVING, "changed", listing(_first(bytes=1000))
    ),
}


def _copy(volume: Mapping[str, Any]) -> JSON_DOCUMENT:
    encrypted = {**volume["encrypted"], "name": "export-copy-002.zip.age"}
    return {**volume, "number": 2, "name": "export-copy-002.zip", "encrypted": encrypted}
