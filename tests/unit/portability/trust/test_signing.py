from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode

import orjson
import pytest
import volumes
from joserfc import jws
from joserfc.errors import ExceededSizeError
from joserfc.jwk import ECKey

from portability.api import JSON
from portability.api.errors import BadInput
from portability.trust.signing import Jwks, SignatureFault, check, sign

TYPE = "portability-archive+jwt"
CLAIMS: dict[str, JSON] = {"iss": "https://vlint.example", "iat": 1_790_000_000}
LATER, EARLIER = "2026-12-01T00:00:00Z", "2020-01-01T00:00:00Z"


def fault_of(token: str, jwks: Jwks) -> str:
    with pytest.raises(SignatureFault) as caught:
        check(token, jwks, typ=TYPE)
    return caught.value.fault


def _part(value: JSON) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def test_what_is_signed_checks() -> None:
    """The claims come back as they were signed."""
    token = sign(CLAIMS, volumes.KEY, typ=TYPE)
    assert check(token, volumes.JWKS, typ=TYPE) == CLAIMS


def test_a_token_of_some_megabytes_checks() -> None:
    """A batch of the journal, or the statement of an archive of thousands of volumes: no library limit applies."""
    claims = {**CLAIMS, "rows": ["x" * 1000] * 3000}
    assert check(sign(claims, volumes.KEY, typ=TYPE), volumes.JWKS, typ=TYPE) == claims


def test_a_key_of_the_same_id_that_did_not_sign() -> None:
    """The signature is checked with the key, not with its name."""
    token = sign(CLAIMS, volumes.new_key(), typ=TYPE)
    assert fault_of(token, volumes.JWKS) == "bad_signature"


def test_a_key_that_is_not_in_the_set() -> None:
    """A key that the issuer does not publish counts for nothing."""
    token = sign(CLAIMS, volumes.new_key("other"), typ=TYPE)
    assert fault_of(token, volumes.JWKS) == "unknown_key"


def test_a_revoked_key_loses_everything_it_signed() -> None:
    """Also what it signed before the revocation: a thief can date back."""
    token = sign(CLAIMS, volumes.KEY, typ=TYPE)
    assert fault_of(token, volumes.key_set(revoked_at=LATER)) == "revoked_key"


def test_a_retired_key_keeps_what_it_signed_before() -> None:
    """Rotation does not orphan archives (RFC 7517 section 5 leaves the time to us)."""
    token = sign(CLAIMS, volumes.KEY, typ=TYPE)
    assert check(token, volumes.key_set(retired_at=LATER), typ=TYPE) == CLAIMS
    assert fault_of(token, volumes.key_set(retired_at=EARLIER)) == "signed_after_retirement"


@pytest.mark.requirement("R39")
def test_no_algorithm_is_none() -> None:
    """`alg: none` is refused before a key is looked for (RFC 8725 section 3.1)."""
    head = _part({"alg": "none", "kid": "archive-1", "typ": TYPE})
    assert fault_of(f"{head}.{_part(CLAIMS)}.", volumes.JWKS) == "forbidden_algorithm"


def test_the_public_key_is_no_hmac_secret() -> None:
    """HS256 with the public key as its secret is refused (RFC 8725 section 2.1)."""
    signed = _part({"alg": "HS256", "kid": "archive-1", "typ": TYPE}) + "." + _part(CLAIMS)
    secret = volumes.KEY.as_pem(private=False)
    mac = urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).rstrip(b"=").decode()
    assert fault_of(f"{signed}.{mac}", volumes.JWKS) == "forbidden_algorithm"


def test_a_token_of_another_type() -> None:
    """A link or a receipt is not valid as an archive's signature (RFC 8725 section 3.11)."""
    token = sign(CLAIMS, volumes.KEY, typ="portability-link+jwt")
    assert fault_of(token, volumes.JWKS) == "wrong_type"


def test_a_header_with_more_in_it() -> None:
    """`crit`, `jku`, `jwk` and everything else that needs interpretation is refused."""
    header = {"alg": "ES256", "kid": "archive-1", "typ": TYPE, "jku": "https://elsewhere.example"}
    token = jws.serialize_compact(header, orjson.dumps(CLAIMS), volumes.KEY, algorithms=["ES256"])
    assert fault_of(token, volumes.JWKS) == "malformed_jws"


def test_claims_without_a_time_of_issue() -> None:
    """Without `iat` it could not be decided whether a retired key signed in time."""
    assert fault_of(sign({"iss": "x"}, volumes.KEY, typ=TYPE), volumes.JWKS) == "bad_claims"


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "a.b.c.d", "....", "e30.e30.e30", "\N{GRINNING FACE}.b.c", "W10.e30."]
)
def test_what_is_no_token_at_all(token: str) -> None:
    """Garbage is not a signature: it has a code of its own."""
    assert fault_of(token, volumes.JWKS) in {"malformed_jws", "forbidden_algorithm"}


def test_only_a_signature_is_a_bad_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of the library on the size of a token is not called a forgery."""
    token = sign(CLAIMS, volumes.KEY, typ=TYPE)
    monkeypatch.setattr(jws.JWSRegistry, "validate_payload_size", _refuse)
    assert fault_of(token, volumes.JWKS) == "malformed_jws"


def _refuse(*_: object) -> None:
    raise ExceededSizeError


def test_every_bit_of_the_token_counts() -> None:
    """Base64url has four spare bits after 64 bytes; they cannot be used to make a second token of one signature."""
    token = sign(CLAIMS, volumes.KEY, typ=TYPE)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for change in range(1, 16):
        twin = token[:-1] + alphabet[alphabet.index(token[-1]) ^ change]
        assert fault_of(twin, volumes.JWKS) == "bad_signature"


def test_keys_of_other_kinds_are_left_out() -> None:
    """A set may hold keys for other uses (RFC 7517 section 5); they sign no archive."""
    other = ECKey.generate_key("P-384", parameters={"kid": "p384"}).as_dict(private=False)
    secret: dict[str, JSON] = {"kty": "oct", "k": "AAAA", "kid": "secret"}
    encrypting = {**volumes.KEY.as_dict(private=False), "kid": "enc", "use": "enc"}
    assert Jwks.parse({"keys": [other, secret, encrypting, 7, None]}).keys == {}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": {}},
        {"keys": [{"kty": "EC", "crv": "P-256", "kid": "x", "x": "AA", "y": "AA"}]},
        {"keys": [{**volumes.KEY.as_dict(private=False), "retired_at": "yesterday"}]},
        {"keys": [{**volumes.KEY.as_dict(private=False), "retired_at": "2026-11-24T08:00:00"}]},
        {"keys": [volumes.KEY.as_dict(private=False)] * 2},
    ],
)
def test_what_is_no_key_set(document: JSON) -> None:
    """A document that cannot be relied upon is bad input, never half a set."""
    with pytest.raises(BadInput):
        Jwks.parse(document)


def test_signing_takes_the_time_that_is_given() -> None:
    """`retired_at` is compared with `iat` to the second."""
    now = int(time.time())
    token = sign({**CLAIMS, "iat": now}, volumes.KEY, typ=TYPE)
    assert check(token, volumes.JWKS, typ=TYPE)["iat"] == now
