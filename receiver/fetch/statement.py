"""transfer.jwt: the sender's signed statement about a transfer (docs/receiving.md), and the check that it is for us."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from archive.names import is_safe
from portability.trust.signing import TRANSFER_TYPE, Jwks, SignatureFault, check
from receiver.faults import BadStatement, WrongAudience

SKEW_SECONDS = 300
"""Tolerated difference between the sender's clock and ours."""
PROFILES = frozenset({"portability", "switch"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("iss", "aud", "jti", "sub", "profile", "export", "consent")


@dataclass(frozen=True, slots=True)
class AnnouncedFile:
    """A file with the announced name, size and SHA-256, which are checked after the download."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """One volume in transit: the ZIP, and the file that is sent, which is the ZIP itself without encryption."""

    number: int
    plain: AnnouncedFile
    sent: AnnouncedFile

    @property
    def is_sealed(self) -> bool:
        return self.sent != self.plain


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with a valid signature and all claims."""

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
        """Return the SHA-256 of its text, which the receipt names."""
        return hashlib.sha256(self.token.encode("ascii")).hexdigest()


def checked(token: str, jwks: Jwks, *, issuer: str, audience: str | None, transfer: str) -> Statement:
    """Return the statement of a transfer if it is signed, complete, of this issuer, for this audience, and valid.

    Raises: BadStatement, WrongAudience.
    """
    try:
        claims = check(token, jwks, typ=TRANSFER_TYPE)
    except SignatureFault as fault:
        raise BadStatement(f"transfer.jwt is invalid: {fault.fault}") from None
    if any(not isinstance(claims.get(name), str) or not claims[name] for name in _TEXTS):
        raise BadStatement("transfer.jwt lacks a claim")
    if claims["iss"].rstrip("/") != issuer.rstrip("/"):
        raise BadStatement("transfer.jwt has another issuer than the link", hint="give the issuer with --issuer")
    if audience is not None and claims["aud"] != audience:
        raise WrongAudience("the transfer is addressed to another recipient")
    if claims["jti"] != transfer or claims["profile"] not in PROFILES:
        raise BadStatement("transfer.jwt belongs to another transfer, or its profile cannot be transferred")
    _check_time(claims)
    revision, parcels = claims.get("revision"), claims.get("volumes")
    if type(revision) is not int or not isinstance(parcels, list) or not parcels:
        raise BadStatement("transfer.jwt lists no volumes, or has no revision")
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


def announced(value: Any, *, suffix: str) -> AnnouncedFile:  # noqa: ANN401  # untrusted JSON
    """Parse the description of a file, with a name that is safe in our folder. Raises BadStatement."""
    members = value if isinstance(value, Mapping) else {}
    name, size, sha256 = members.get("name"), members.get("bytes"), members.get("sha256")
    is_name = isinstance(name, str) and is_safe(name) and "/" not in name and name.endswith(suffix)
    is_hash = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    if not is_name or not is_hash or type(size) is not int or size <= 0:
        raise BadStatement("the description of a volume lacks a safe name, its bytes or its SHA-256")
    return AnnouncedFile(str(name), size, str(sha256))


def distinct(parcels: tuple[Parcel, ...]) -> tuple[Parcel, ...]:
    """Return the parcels, whose numbers and (ignoring case) names must all differ. Raises BadStatement."""
    for keys in ([p.number for p in parcels], [p.plain.name.lower() for p in parcels]):
        if len(set(keys)) < len(keys):
            raise BadStatement("a volume is listed twice")
    return parcels


def _parcel(value: Any) -> Parcel:  # noqa: ANN401  # as above
    plain = announced(value, suffix=".zip")
    number = value.get("number")
    if type(number) is not int:
        raise BadStatement("a volume has no number")
    return Parcel(number, plain, announced(value.get("encrypted"), suffix=".zip.age"))


def _check_time(claims: Mapping[str, Any]) -> None:
    expires, present = claims.get("exp"), datetime.now(UTC).timestamp()
    if type(expires) is not int or expires + SKEW_SECONDS < present:
        raise BadStatement("transfer.jwt has expired")
    if claims["iat"] - SKEW_SECONDS > present:
        raise BadStatement("transfer.jwt was issued in the future", hint="set this machine's clock")
