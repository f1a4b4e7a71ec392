"""The receipt: a statement of the result of a transfer, signed with this side's key (docs/receiving.md)."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from portability import strict_json
from portability.api import JSON
from portability.api.errors import BadInput
from portability.trust.signing import RECEIPT_TYPE, SigningKey, sign

KEY_BYTES = 1 << 14
KINDS = "a private JWK, or <kid>.pem as `portability keys new --purpose receipt` makes it"
RECEIVED, REFUSED = "received", "refused"


class Receipted(Protocol):
    """What a receipt names of a statement."""

    @property
    def audience(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def transfer(self) -> str: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """What a receipt names of a statement that was checked when it was fetched."""

    audience: str
    issuer: str
    transfer: str
    token: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.token.encode("ascii")).hexdigest()


def load_key(path: Path) -> ECKey:
    """Load a private ES256 key: a JWK with its `kid` (RFC 7517), or a PEM file named `<kid>.pem`. Raises BadInput."""
    try:
        with path.open("rb") as file:
            content = file.read(KEY_BYTES)
        if content.startswith(b"-----BEGIN"):
            key = ECKey.import_key(content, {"kid": path.stem})
        else:
            key = ECKey.import_key(strict_json.parse(content))
    except (OSError, JoseError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"cannot read the receipt key {path}: {type(error).__name__}", hint=KINDS) from None
    if not key.is_private or key.kid is None or key.curve_name != "P-256":
        raise BadInput(f"the receipt key {path} is not a private P-256 key with a kid", hint=KINDS)
    return key


def new_id() -> str:
    """Return the id of a receipt."""
    return secrets.token_urlsafe(24)


def signed(
    statement: Receipted,
    key: SigningKey,
    *,
    volumes: int,
    possession: str | None = None,
    code: str | None = None,
    jti: str | None = None,
    issued_at: datetime | None = None,
) -> str:
    """Sign the receipt; with a code it states that the transfer is refused.

    `jti` is the id of a receipt that may have been sent before; None: a new id.
    `issued_at` is the time by the clock that decides; None: that of this machine.

    `possession` proves that every encrypted file is here, if the statement has a nonce.
    """
    proven: dict[str, JSON] = {"possession": possession} if possession else {}
    return sign(
        {
            **proven,
            "iss": statement.audience,
            "aud": statement.issuer,
            "iat": int(issued_at.timestamp() if issued_at else time.time()),
            "jti": jti or new_id(),
            "transfer": statement.transfer,
            "transfer_sha256": statement.sha256,
            "status": RECEIVED if code is None else REFUSED,
            "code": code,
            "volumes": volumes,
        },
        key,
        typ=RECEIPT_TYPE,
    )
