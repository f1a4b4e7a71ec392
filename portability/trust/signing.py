"""Signatures: JWS compact, ES256 only (RFC 7515, RFC 7518 section 3.4, RFC 8725).

Each kind of statement has its own keys and `typ`: one kind cannot be used as another.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import orjson
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey

from portability import strict_json
from portability.api import JSON
from portability.api.errors import BadInput, PortabilityError

ALGORITHM = "ES256"
ALGORITHMS = (ALGORITHM,)
ARCHIVE_TYPE = "portability-archive+jwt"
LINK_TYPE = "portability-link+jwt"
AUDIT_TYPE = "portability-audit+jwt"
JOURNAL_TYPE = "portability-journal+jwt"
ATTESTATION_TYPE = "portability-deletion+jwt"
TRANSFER_TYPE = "portability-transfer+jwt"
RECEIPT_TYPE = "portability-receipt+jwt"
CHALLENGE_TYPE = "portability-challenge+jwt"
ROTATION_TYPE = "portability-rotation+jwt"
PROVIDER_TYPE = "portability-provider+jwt"
PROBE_TYPE = "portability-probe+jwt"
"""Of a token that states nothing: `portability doctor` looks whether a key signs."""
NOTICE_TYPE = "portability-notice+jwt"
CURSOR_TYPE = "portability-cursor+jwt"
SKEW_SECONDS = 300
"""Tolerated difference between the clock of the party that signed and ours."""
_HEADER = frozenset({"alg", "kid", "typ"})


class RemoteSigner(Protocol):
    """A key whose private half is elsewhere."""

    @property
    def kid(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature ES256 of a message: the 64 bytes of r and s. Raises NoSigningKey."""


SigningKey: TypeAlias = ECKey | RemoteSigner


@dataclass(frozen=True, slots=True)
class DatedKey:
    """A key, and the time of what it signs."""

    key: SigningKey
    at: datetime
    """When the key was active, by the clock by which it retires: that of the database."""

    @property
    def iat(self) -> int:
        """Return the time as the claim `iat`."""
        return int(self.at.timestamp())


class SignatureFault(PortabilityError):
    """A token that proves nothing. `fault` says why: one of the codes in docs/archive-format.md.

    `bad_signature` is only a signature that its key did not make; a text without the form of a token is
    `malformed_jws`.
    """

    code = "signature_fault"
    default_hint = "see docs/archive-format.md for the meaning of each fault"

    def __init__(
        self, message: str, *, fault: str = "malformed_jws", hint: str | None = None, checked: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault
        self.checked = checked
        """Whether the signature was computed, which is the expensive step and visible in the time it took."""


class ClockSkew(BadInput):
    """A signed time is further from ours than clocks may differ; the message has both."""

    code = "clock_skew"
    default_hint = "set the clock of the machine that differs from the correct time (NTP)"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a JWK Set, with its end dates; times are aware UTC."""

    key: ECKey
    retired_at: datetime | None
    """Signatures after this moment are invalid; earlier signatures stay valid."""
    revoked_at: datetime | None
    """The key is compromised: all its signatures are invalid."""


@dataclass(frozen=True, slots=True)
class Jwks:
    """The ES256 keys of a JWK Set (RFC 7517 section 5) by `kid`; other kinds of keys are ignored, as the RFC says."""

    keys: Mapping[str, PublicKey]

    @classmethod
    def parse(cls, document: JSON) -> Jwks:
        """Parse a JWK Set. Raises BadInput if it is invalid or has a `kid` twice."""
        members = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(members, list | tuple):
            raise BadInput("the JWK Set has no list `keys`", hint="see /.well-known/jwks.json for an example")
        keys: dict[str, PublicKey] = {}
        for member in members:
            if not isinstance(member, Mapping) or not _is_es256(member):
                continue
            kid = str(member["kid"])
            if kid in keys:
                raise BadInput(f"the JWK Set names the key {kid!r} twice")
            keys[kid] = _public_key(kid, member)
        return cls(keys)


def sign(claims: Mapping[str, JSON], key: SigningKey, *, typ: str) -> str:
    """Sign the claims as a compact JWS, with `alg`, `kid` and `typ` in its header. `key` has a `kid`.

    Raises: NoSigningKey if the key is elsewhere, and is not there.
    """
    header, payload = {"alg": ALGORITHM, "kid": key.kid, "typ": typ}, orjson.dumps(claims)
    if isinstance(key, ECKey):
        return jws.serialize_compact(header, payload, key, algorithms=ALGORITHMS)
    signed = b".".join(_encoded(part) for part in (orjson.dumps(header), payload))
    return b".".join((signed, _encoded(key.sign(signed)))).decode()


def check(token: str, jwks: Jwks, *, typ: str) -> Mapping[str, Any]:
    """Return the claims of a token with a valid signature.

    Every character counts: non-canonical base64url is refused.

    Raises:
        SignatureFault: `malformed_jws`, `forbidden_algorithm`, `wrong_type`, `unknown_key`, `bad_signature`,
            `bad_claims`, `revoked_key` or `signed_after_retirement`, in this order of checking.
    """
    kid = kid_of(token, typ=typ)
    public = jwks.keys.get(kid)
    if public is None:
        raise SignatureFault(f"the JWK Set has no key {kid!r}", fault="unknown_key")
    registry = jws.JWSRegistry(algorithms=list(ALGORITHMS))
    # The library refuses more than 128,000 bytes by default. How long a token may be decides who reads it.
    registry.max_payload_length = len(token)
    try:
        payload = jws.deserialize_compact(token, public.key, registry=registry).payload
    except BadSignatureError:
        raise SignatureFault(f"the signature does not match key {kid!r}", fault="bad_signature", checked=True) from None
    except (JoseError, ValueError) as error:
        # A limit or a rule of the library, not the signature.
        raise SignatureFault(f"the library refuses the token: {type(error).__name__}") from None
    claims = _json_object(payload, "claims")
    _check_life(claims, kid, public)
    return claims


def unverified(token: str, *, typ: str) -> Mapping[str, Any]:
    """Return the claims of a token without checking its signature: to learn where its key is. Raises SignatureFault."""
    kid_of(token, typ=typ)
    return _json_object(_decoded(token.split(".")[1], "malformed_jws"), "claims")


def check_clock(issued: int, *, what: str, earliest: datetime | None = None, present: datetime | None = None) -> None:
    """Check that `iat` of a token is neither in the future nor before `earliest`, give or take 300 seconds.

    `present` is the time by the clock that decides; None: that of this machine.

    Raises: ClockSkew with the difference in seconds and both times.
    """
    here = int((present or datetime.now(UTC)).timestamp())
    begin = int(earliest.timestamp()) if earliest else here
    ahead, behind = issued - here, (begin - issued if earliest else 0)
    if ahead > SKEW_SECONDS:
        detail = f"{what} was issued {ahead} seconds in the future: iat is {issued}, and the clock here says {here}"
    elif behind > SKEW_SECONDS:
        detail = f"{what} was issued {behind} seconds too early: iat is {issued}, and it answers what is of {begin}"
    else:
        return
    raise ClockSkew(f"{detail}; the clocks may differ by {SKEW_SECONDS} seconds")


def kid_of(token: str, *, typ: str) -> str:
    """Return the `kid` of a token, unchecked. Raises SignatureFault: its header has another form than `sign` writes."""
    texts = token.split(".")
    if len(texts) != 3:  # noqa: PLR2004 - header, payload, signature (RFC 7515 section 7.1)
        raise SignatureFault(f"a compact JWS must have 3 parts; found {len(texts)}")
    faults = ("malformed_jws", "malformed_jws", "bad_signature")
    parts = [_decoded(text, fault) for text, fault in zip(texts, faults, strict=True)]
    header = _json_object(parts[0], "header")
    if header.get("alg") not in ALGORITHMS:
        raise SignatureFault(f"alg is {header.get('alg')!r}; expected {ALGORITHM}", fault="forbidden_algorithm")
    if header.get("typ") != typ:
        raise SignatureFault(f"typ is {header.get('typ')!r}; expected {typ!r}", fault="wrong_type")
    if header.keys() != _HEADER or not isinstance(header["kid"], str):
        raise SignatureFault(f"the header has {sorted(header)}; expected {sorted(_HEADER)}")
    return header["kid"]


def _check_life(claims: Mapping[str, Any], kid: str, public: PublicKey) -> None:
    issued = claims.get("iat")
    if type(issued) is not int:
        raise SignatureFault("the claims have no integer `iat` (time of issue)", fault="bad_claims")
    if public.revoked_at is not None:
        raise SignatureFault(f"key {kid!r} was revoked at {public.revoked_at.isoformat()}", fault="revoked_key")
    if public.retired_at is not None and issued > public.retired_at.timestamp():
        detail = f"key {kid!r} was retired at {public.retired_at.isoformat()}, and signed this later, at {issued}"
        raise SignatureFault(detail, fault="signed_after_retirement")


def _json_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = strict_json.parse(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SignatureFault(f"the {what} is not a JSON object")
    return value


def _encoded(part: bytes) -> bytes:
    return urlsafe_b64encode(part).rstrip(b"=")


def _decoded(part: str, fault: str) -> bytes:
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if urlsafe_b64encode(data).rstrip(b"=") != part.encode("utf-8", "replace"):
        raise SignatureFault("the token is not in canonical base64url", fault=fault)
    return data


def _is_es256(member: Mapping[str, JSON]) -> bool:
    wanted = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": ALGORITHM}
    optional = {"use", "alg"}
    return isinstance(member.get("kid"), str) and all(
        member.get(name, value if name in optional else None) == value for name, value in wanted.items()
    )


def _public_key(kid: str, member: Mapping[str, JSON]) -> PublicKey:
    public = {name: str(member.get(name)) for name in ("kty", "crv", "x", "y", "kid")}
    try:
        key = ECKey.import_key({**public, "use": "sig", "alg": ALGORITHM})
        return PublicKey(key, _moment(member.get("retired_at")), _moment(member.get("revoked_at")))
    except (JoseError, ValueError, OverflowError) as error:  # OverflowError: a time that UTC cannot express
        raise BadInput(f"cannot read the key {kid!r} of the JWK Set: {type(error).__name__}") from None


def _moment(value: JSON) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError("a time without time zone")
    return moment.astimezone(UTC)
