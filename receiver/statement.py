"""transfer.jwt: what the sender signed about a transfer (docs/receiving.md), and whether it is for us."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from archive.names import is_safe
from portability.signing import TRANSFER_TYPE, Jwks, SignatureFault, check
from receiver.faults import BadStatement, WrongAudience

SKEW_SECONDS = 300
"""By how much the sender's clock may differ from ours."""
PROFILES = frozenset({"portability", "switch"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("iss", "aud", "jti", "sub", "profile", "export", "consent")


@dataclass(frozen=True, slots=True)
class Promised:
    """A file by its name, bytes and SHA-256: none of it is believed before it was counted and hashed."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """One volume on its way: the ZIP, and what is sent of it, which is the ZIP itself where nothing encrypts it."""

    number: int
    plain: Promised
    sent: Promised

    @property
    def is_sealed(self) -> bool:
        return self.sent != self.plain


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose signature holds and whose claims are all there."""

    token: str
    issuer: str
    audience: str
    transfer: str
    subject: str
    profile: str
    export: str
    revision: int
    consent: str
    parcels: tuple[Parcel, ...]

    @property
    def sha256(self) -> str:
        """Of its text: how the receipt names it."""
        return hashlib.sha256(self.token.encode("ascii")).hexdigest()


def checked(token: str, jwks: Jwks, *, issuer: str, audience: str | None, transfer: str) -> Statement:
    """The statement of a transfer, if it is signed, whole, of this issuer, for this audience, and not over.

    Raises: BadStatement, WrongAudience.
    """
    try:
        claims = check(token, jwks, typ=TRANSFER_TYPE)
    except SignatureFault as fault:
        raise BadStatement(f"transfer.jwt does not hold: {fault.fault}") from None
    if any(not isinstance(claims.get(name), str) or not claims[name] for name in _TEXTS):
        raise BadStatement("transfer.jwt lacks a claim")
    if claims["iss"].rstrip("/") != issuer.rstrip("/"):
        raise BadStatement("transfer.jwt is of another issuer than the link", hint="name the issuer: --issuer")
    if audience is not None and claims["aud"] != audience:
        raise WrongAudience("the transfer is for somebody else")
    if claims["jti"] != transfer or claims["profile"] not in PROFILES:
        raise BadStatement("transfer.jwt is of another transfer, or of a copy to read")
    _check_time(claims)
    revision, parcels = claims.get("revision"), claims.get("volumes")
    if type(revision) is not int or not isinstance(parcels, list) or not parcels:
        raise BadStatement("transfer.jwt names no volumes, or no revision")
    return Statement(
        token,
        claims["iss"],
        claims["aud"],
        transfer,
        claims["sub"],
        claims["profile"],
        claims["export"],
        revision,
        claims["consent"],
        distinct(tuple(map(_parcel, parcels))),
    )


def promised(value: Any, *, suffix: str) -> Promised:  # noqa: ANN401  # JSON of a stranger
    """A file that is described, by a name that may stand in our folder. Raises BadStatement."""
    members = value if isinstance(value, Mapping) else {}
    name, size, sha256 = members.get("name"), members.get("bytes"), members.get("sha256")
    is_name = isinstance(name, str) and is_safe(name) and "/" not in name and name.endswith(suffix)
    is_hash = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    if not is_name or not is_hash or type(size) is not int or size <= 0:
        raise BadStatement("a volume is described without a safe name, its bytes and its SHA-256")
    return Promised(str(name), size, str(sha256))


def distinct(parcels: tuple[Parcel, ...]) -> tuple[Parcel, ...]:
    """The same parcels, of which no two have one number or, ignoring case, one name. Raises BadStatement."""
    for keys in ([p.number for p in parcels], [p.plain.name.lower() for p in parcels]):
        if len(set(keys)) < len(keys):
            raise BadStatement("a volume is named twice")
    return parcels


def _parcel(value: Any) -> Parcel:  # noqa: ANN401  # as above
    plain = promised(value, suffix=".zip")
    number = value.get("number")
    if type(number) is not int:
        raise BadStatement("a volume has no number")
    return Parcel(number, plain, promised(value.get("encrypted"), suffix=".zip.age"))


def _check_time(claims: Mapping[str, Any]) -> None:
    expires, present = claims.get("exp"), datetime.now(UTC).timestamp()
    if type(expires) is not int or expires + SKEW_SECONDS < present:
        raise BadStatement("transfer.jwt has expired")
    if claims["iat"] - SKEW_SECONDS > present:
        raise BadStatement("transfer.jwt is of the future", hint="set this machine's clock")
