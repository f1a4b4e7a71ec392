"""Offers of the kit: the volumes of an archive, their list, and the statement that signs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from portability.trust.signing import TRANSFER_TYPE
from receiver.conformance.archive_faults import KitParty
from receiver.conformance.drafts import MadeVolume
from receiver.conformance.signers import KitKey, token

OFFER_SECONDS = 7 * 86_400
REVOKED_AT = RETIRED_AT = "2026-01-01T00:00:00Z"
"""Before any time at which the kit signs."""
JSON_DOCUMENT = dict[str, Any]
Seal = Callable[[bytes], bytes]
"""Encrypts a volume to the recipient."""


@dataclass(frozen=True, slots=True)
class KitOffer:
    """An offer of a transfer, which is right in every point."""

    party: KitParty
    audience: str
    transfer: str
    volumes: Sequence[MadeVolume]
    sent: Sequence[bytes]
    """The encrypted volumes."""

    @property
    def nonce(self) -> str:
        """Return what the proof of possession begins with: 32 bytes in hexadecimal."""
        return hashlib.sha256(f"nonce {self.transfer}".encode()).hexdigest()

    @property
    def closing(self) -> str:
        return hashlib.sha256(f"closing {self.transfer}".encode()).hexdigest()[:32]

    def list_document(self) -> JSON_DOCUMENT:
        """Return volumes.json before it is written."""
        volumes = [
            {
                "number": volume.draft.number,
                "name": f"{volume.name}.zip",
                "bytes": len(volume.data),
                "sha256": hashlib.sha256(volume.data).hexdigest(),
                "encrypted": self.encrypted(volume, sent),
            }
            for volume, sent in zip(self.volumes, self.sent, strict=True)
        ]
        return {"transfer": self.transfer, "closing": self.closing, "volumes": volumes}

    def encrypted(self, volume: MadeVolume, sent: bytes) -> JSON_DOCUMENT:
        """Return the description of an encrypted volume."""
        sha256 = hashlib.sha256(sent).hexdigest()
        return {"name": f"{volume.name}.zip.age", "bytes": len(sent), "sha256": sha256}

    def claims(self, listed: bytes) -> JSON_DOCUMENT:
        """Return the claims of transfer.jwt for a volumes.json."""
        issuer = self.party.issuer
        sha256 = hashlib.sha256(listed).hexdigest()
        return {
            "iss": issuer.url,
            "aud": self.audience,
            "jti": self.transfer,
            "iat": issuer.at,
            "exp": issuer.at + OFFER_SECONDS,
            "sub": issuer.subject,
            "profile": "portability",
            "export": issuer.export,
            "revision": 1,
            "consent": "aut_conformance",
            "closing": self.closing,
            "list": {"volumes": len(self.volumes), "bytes": len(listed), "sha256": sha256},
            "nonce": self.nonce,
        }

    def statement(self, listed: bytes, changes: Mapping[str, Any] | None = None) -> str:
        """Return transfer.jwt; a change to None leaves a claim out."""
        claims = {**self.claims(listed), **(changes or {})}
        return token({n: value for n, value in claims.items() if value is not None}, self.key, TRANSFER_TYPE)

    @property
    def key(self) -> KitKey:
        return self.party.transfer_key

    def possession(self) -> str:
        """Return the proof that a receipt must have (docs/transfers.md#receipt)."""
        nonce = bytes.fromhex(self.nonce)
        return hashlib.sha256(b"".join(hashlib.sha256(nonce + sent).digest() for sent in self.sent)).hexdigest()


@dataclass(frozen=True, slots=True)
class OfferedDocuments:
    """What a sender serves for an offer."""

    statement: str
    listed: bytes
    """volumes.json."""
    sent: Sequence[bytes]


def right(offer: KitOffer) -> OfferedDocuments:
    """Return the documents of an offer without a fault."""
    listed = orjson.dumps(offer.list_document())
    return OfferedDocuments(offer.statement(listed), listed, offer.sent)


def key_set(party: KitParty) -> JSON_DOCUMENT:
    """Return the key set of the kit: without the stranger's key, with a revoked and a retired key."""
    keys = [party.issuer.archive_key.public_jwk(), party.transfer_key.public_jwk()]
    ended = [party.revoked.public_jwk(revoked_at=REVOKED_AT), party.retired.public_jwk(retired_at=RETIRED_AT)]
    return {"keys": [*keys, *ended]}
