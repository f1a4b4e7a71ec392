"""The OpenID provider that people and staff log in with: discovery, the code flow with PKCE, checked tokens.

The same function checks ID tokens of the pages and access tokens of the API: signature against the provider's
JWKS by an explicit list of algorithms, issuer, audience and times (RFC 8725, RFC 9068, OpenID Connect Core).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from portability.errors import ControlError, NotAllowed
from portability.settings import Settings

ALGORITHMS = ("ES256", "ES384", "RS256", "RS384", "PS256", "PS384", "EdDSA")
"""Only asymmetric algorithms: a public key must never be used as the secret of an HMAC."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", ""})
LEEWAY_SECONDS = 30
ANSWER_SECONDS = 10.0
FRESH_SECONDS = 600.0
REFRESH_SECONDS = 30.0
"""The shortest time between two reads of the keys because of an unknown key id, which any caller can send."""


class ProviderUnavailable(ControlError):
    """The OpenID provider does not answer, or its answer is not valid."""

    code = "provider_unavailable"
    retryable = True
    default_hint = "check PORTABILITY_OIDC_ISSUER with `portability doctor`"


class LoginFailed(NotAllowed):
    """The provider's answer or a token is not valid."""

    code = "login_failed"
    default_hint = "log in again"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that has begun; the session keeps it until the provider answers."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass
class OpenIdProvider:
    """An issuer; its metadata and keys are cached for ten minutes. Safe in several threads."""

    settings: Settings
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _metadata: Mapping[str, Any] = field(default_factory=dict)
    _keys: KeySet | None = None
    _read_at: float = float("-inf")

    @property
    def issuer(self) -> str:
        return self.settings.oidc_issuer or ""

    @property
    def redirect_uri(self) -> str:
        return f"{self.settings.base_url.rstrip('/')}/login/callback"

    def begin(self, *, step_up: bool) -> Attempt:
        """Begin a login; returns the address to redirect to and what the answer is checked with.

        Raises: ProviderUnavailable.
        """
        state, nonce, verifier = generate_token(32), generate_token(32), generate_token(64)
        wanted = {"max_age": "0", "acr_values": " ".join(sorted(self.settings.strong_acr))} if step_up else {}
        url = prepare_grant_uri(
            self._published()["authorization_endpoint"],
            self.settings.oidc_client_id,
            "code",
            redirect_uri=self.redirect_uri,
            scope="openid",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **wanted,
        )
        return Attempt(url, state, nonce, verifier)

    def finish(self, code: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Exchange the code of a login for its claims. Raises ProviderUnavailable, LoginFailed."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        client = (self.settings.oidc_client_id or "", self.settings.oidc_client_secret or "")
        endpoint = self._published()["token_endpoint"]
        try:
            answer = httpx.post(endpoint, data={**form, "code_verifier": verifier}, auth=client, timeout=ANSWER_SECONDS)
            token = answer.json().get("id_token") if answer.is_success else None
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise ProviderUnavailable(f"the provider returned no token: {type(error).__name__}") from None
        if not isinstance(token, str):
            raise LoginFailed("the provider did not confirm the login")
        return self.verified(token, audience=client[0], nonce=nonce)

    def verified(self, token: str, *, audience: str, nonce: str | None = None) -> Mapping[str, Any]:
        """Check a token: signature, type, issuer, audience, times and nonce; returns its claims.

        Raises: LoginFailed, ProviderUnavailable.
        """
        wanted: dict[str, Any] = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": audience},
            "exp": {"essential": True},
            "sub": {"essential": True},
            **({"nonce": {"essential": True, "value": nonce}} if nonce else {}),
        }
        decoded = self._decoded(token)
        if str(decoded.header.get("typ", "")).lower() not in TYPES:
            raise LoginFailed("the token's `typ` is not that of an ID token or access token")
        try:
            jwt.JWTClaimsRegistry(leeway=LEEWAY_SECONDS, **wanted).validate(decoded.claims)
        except JoseError as error:
            raise LoginFailed(f"the token is not valid: {error.error}") from None
        return decoded.claims

    def _decoded(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._key_set(), algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError):
            pass
        # The provider may have begun to sign with a key that is not cached yet.
        try:
            return jwt.decode(token, self._key_set(older_than_seconds=REFRESH_SECONDS), algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError) as error:
            raise LoginFailed(f"the token is not valid: {type(error).__name__}") from None

    def _published(self) -> Mapping[str, Any]:
        self._key_set()
        return self._metadata

    def _key_set(self, *, older_than_seconds: float = FRESH_SECONDS) -> KeySet:
        with self._lock:
            if self._keys is None or time.monotonic() - self._read_at > older_than_seconds:
                self._metadata, self._keys = self._read()
                self._read_at = time.monotonic()
            return self._keys

    def _read(self) -> tuple[Mapping[str, Any], KeySet]:
        where = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            metadata = httpx.get(where, timeout=ANSWER_SECONDS).raise_for_status().json()
            keys = httpx.get(metadata["jwks_uri"], timeout=ANSWER_SECONDS).raise_for_status().json()
            # The metadata must name the configured issuer (OpenID Connect Discovery, 4.3).
            if metadata["issuer"] != self.issuer:
                raise ProviderUnavailable("the provider's metadata name another issuer than PORTABILITY_OIDC_ISSUER")
            signing = [key for key in keys["keys"] if key.get("use", "sig") == "sig" and key.get("kty") != "oct"]
            return metadata, KeySet.import_key_set({"keys": signing})
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
            raise ProviderUnavailable(f"the provider's metadata cannot be read: {type(error).__name__}") from None
