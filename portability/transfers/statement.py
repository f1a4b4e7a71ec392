"""What is signed and listed about a transfer: `transfer.jwt`, `volumes.json`, and what a receipt must prove (ADR 55).

`transfer.jwt` has a fixed size for any number of volumes: it signs the SHA-256 of `volumes.json`, which lists them.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from portability.api import JSON
from portability.settings import Settings

NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Closing:
    """How the list of a transfer is closed when it is offered; `columns` are those of the transfer's row."""

    id: str
    """Random: no two offers have the same list."""
    volumes: int
    listed: bytes
    """`volumes.json`."""
    nonce: str | None
    """None: at least one copy was encrypted by a release that computes no digest for it."""
    possession: str | None
    """The digest that only a party with every encrypted file can compute."""

    @property
    def columns(self) -> dict[str, object]:
        return {"closing": self.id, "volumes": self.volumes, "possession": self.possession}


def new_nonce() -> str:
    """Return the nonce of a transfer: 32 random bytes in hexadecimal."""
    return secrets.token_hex(NONCE_BYTES)


def close(transfer: Mapping[Any, Any], copies: Sequence[Mapping[Any, Any]]) -> Closing:
    """Close the list of a transfer whose copies are all stored."""
    closing_id = secrets.token_hex(16)
    proofs = [copy["possession"] for copy in copies]
    is_proven = transfer["nonce"] is not None and all(proofs)
    return Closing(
        closing_id,
        len(copies),
        volume_list(transfer["id"], closing_id, copies),
        transfer["nonce"] if is_proven else None,
        possession(proofs) if is_proven else None,
    )


def possession(proofs: Sequence[str]) -> str:
    """Return the digest of a receipt: SHA-256 over the digests of all volumes, in the order of the list.

    Args:
        proofs: for each volume SHA-256 (hex) of the nonce's bytes, followed by the encrypted file.
    """
    return hashlib.sha256(b"".join(map(bytes.fromhex, proofs))).hexdigest()


def volume_list(transfer_id: str, closing_id: str, copies: Sequence[Mapping[Any, Any]]) -> bytes:
    """Return `volumes.json`: the same bytes at each call, because its SHA-256 is signed.

    Never change what it returns for a transfer that is offered: another form needs another closing.
    """
    return orjson.dumps(
        {
            "transfer": transfer_id,
            "closing": closing_id,
            "volumes": [
                {
                    "number": copy["number"],
                    "name": f"{copy['name']}.zip",
                    "bytes": copy["plain_bytes"],
                    "sha256": copy["plain_sha256"],
                    "encrypted": {"name": f"{copy['name']}.zip.age", "bytes": copy["bytes"], "sha256": copy["sha256"]},
                }
                for copy in copies
            ],
        }
    )


def volumes_of(transfer: Mapping[Any, Any]) -> int:
    """Return the number of volumes in the statement of an offered transfer."""
    if transfer["volumes"] is not None:
        return int(transfer["volumes"])
    # An earlier release has offered it: its statement, which this deployment has signed, contains the list.
    payload = str(transfer["statement"]).split(".")[1]
    return len(orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["volumes"])


def claims(
    settings: Settings,
    transfer: Mapping[Any, Any],
    export: Mapping[Any, Any],
    to: Mapping[Any, Any],
    closing: Closing,
    present: datetime,
    expires_at: datetime,
) -> dict[str, JSON]:
    """Return the claims of `transfer.jwt` (docs/transfers.md)."""
    signed: dict[str, JSON] = {
        "iss": settings.iss,
        "aud": to["domain"],
        "jti": transfer["id"],
        "iat": int(present.timestamp()),
        "exp": int(expires_at.timestamp()),
        "sub": export["subject_ref"],
        "profile": export["profile"],
        "export": export["id"],
        "revision": export["revision"],
        "consent": transfer["authorisation_id"],
        "closing": closing.id,
        "list": {
            "volumes": closing.volumes,
            "bytes": len(closing.listed),
            "sha256": hashlib.sha256(closing.listed).hexdigest(),
        },
    }
    return {**signed, "nonce": closing.nonce} if closing.nonce else signed
