"""transfer.jwt: the sender's signed statement about a transfer (docs/receiving.md), and the check that it is for us."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from archive.names import is_safe
from portability import strict_json
from portability.trust.signing import SKEW_SECONDS, TRANSFER_TYPE, Jwks, SignatureFault, check, check_clock
from receiver.faults import BadStatement, StatementExpired, WrongAudience, WrongList
from receiver.untrusted import is_number, is_text

LIST_BYTES = 64 << 20
"""Maximum size of volumes.json: enough for 200,000 volumes."""
PROFILES = frozenset({"portability", "switch"})
_HEX = re.compile(r"(?:[0-9a-f]{2}){16,64}")
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
class AnnouncedList:
    """The list of volumes that a statement has signed."""

    closing: str
    """Its random id."""
    volumes: int
    size: int
    sha256: str


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
    listed: AnnouncedList | None
    """None: the statement is of an earlier release and contains the list itself."""
    nonce: bytes | None
    """What the proof of possession begins with; None: the sender asks for no proof."""
    parcels: tuple[Parcel, ...] = ()
    """The volumes; empty until `with_volumes` has added those of a separate list."""

    @property
    def volumes(self) -> int:
        """Return the number of its volumes."""
        return self.listed.volumes if self.listed else len(self.parcels)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of its text, which the receipt names."""
        return hashlib.sha256(self.token.encode("ascii")).hexdigest()


def checked(
    token: str,
    jwks: Jwks,
    *,
    issuer: str,
    audience: str | None,
    transfer: str,
    late: timedelta = timedelta(),
    present: datetime | None = None,
) -> Statement:
    """Return the statement of a transfer if it is signed, complete, of this issuer, for this audience, and valid.

    `late`: how long after its end it is still taken, to send the receipt of what was downloaded before. `present`: the
    time by the clock that decides; None: that of this machine.

    Raises: BadStatement, StatementExpired, ClockSkew, WrongAudience.
    """
    try:
        claims = check(token, jwks, typ=TRANSFER_TYPE)
    except SignatureFault as fault:
        raise BadStatement(f"transfer.jwt is not validly signed: {fault.fault}") from None
    if not all(claims.get(name) and is_text(claims[name]) for name in _TEXTS):
        raise BadStatement("transfer.jwt lacks a claim")
    if claims["iss"].rstrip("/") != issuer.rstrip("/"):
        raise BadStatement("transfer.jwt has another issuer than the link", hint="give the issuer with --issuer")
    if audience is not None and claims["aud"] != audience:
        raise WrongAudience("the transfer is addressed to another recipient")
    if claims["jti"] != transfer or claims["profile"] not in PROFILES:
        raise BadStatement("transfer.jwt belongs to another transfer, or its profile cannot be transferred")
    _check_time(claims, late, present or datetime.now(UTC))
    revision, parcels, nonce = claims.get("revision"), claims.get("volumes"), claims.get("nonce")
    listed = None if "list" not in claims else _announced_list(claims["list"], claims.get("closing"))
    if not is_number(revision) or not (listed or (isinstance(parcels, list) and parcels)):
        raise BadStatement("transfer.jwt lists no volumes, or has no revision")
    if nonce is not None and not (isinstance(nonce, str) and _HEX.fullmatch(nonce)):
        raise BadStatement("transfer.jwt has a nonce that is not hexadecimal")
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
        listed,
        bytes.fromhex(nonce) if nonce else None,
        distinct(tuple(map(_parcel, parcels or ()))) if listed is None else (),
    )


def with_volumes(statement: Statement, document: bytes) -> Statement:
    """Return the statement with the volumes of its separate list, `volumes.json`.

    Raises: WrongList if it is not the list that the statement has signed, or describes a volume wrongly.
    """
    wanted = statement.listed
    if wanted is None:
        return statement
    if len(document) != wanted.size or hashlib.sha256(document).hexdigest() != wanted.sha256:
        raise WrongList(f"volumes.json has {len(document)} bytes and is not the signed list of {wanted.size} bytes")
    try:
        listed = strict_json.parse(document)
        parcels = distinct(tuple(map(_parcel, listed["volumes"])))
        names = (listed["transfer"], listed["closing"], len(parcels))
    except (ValueError, KeyError, TypeError):
        raise WrongList("volumes.json is not a list of volumes") from None
    except BadStatement as fault:
        # The statement is valid: the sender gets a receipt with the reason.
        raise WrongList(f"volumes.json: {fault}") from None
    if names != (statement.transfer, wanted.closing, wanted.volumes):
        raise WrongList("volumes.json is the list of another transfer, or has another number of volumes than signed")
    return replace(statement, parcels=parcels)


def _announced_list(value: Any, closing: Any) -> AnnouncedList:  # noqa: ANN401  # untrusted JSON
    members = value if isinstance(value, Mapping) else {}
    volumes, size, sha256 = members.get("volumes"), members.get("bytes"), members.get("sha256")
    is_hash = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    if not is_number(volumes) or type(size) is not int or not is_hash or not isinstance(closing, str):
        raise BadStatement("transfer.jwt does not describe its list of volumes")
    if not 0 < size <= LIST_BYTES:
        raise BadStatement(f"transfer.jwt has a list of {volumes} volumes in {size} bytes; the limit is {LIST_BYTES}")
    return AnnouncedList(closing, volumes, size, str(sha256))


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


def _check_time(claims: Mapping[str, Any], late: timedelta, present: datetime) -> None:
    expires, here = claims.get("exp"), int(present.timestamp())
    if type(expires) is not int:
        raise BadStatement("transfer.jwt has no integer `exp` (its end)")
    if expires + SKEW_SECONDS + late.total_seconds() < here:
        raise StatementExpired(f"transfer.jwt expired {here - expires} seconds ago")
    check_clock(claims["iat"], what="transfer.jwt", present=present)
