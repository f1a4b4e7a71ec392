"""The OpenID provider that people and staff log in with: discovery, the code flow with PKCE, checked tokens.

The same function checks ID tokens of the pages and access tokens of the API: signature against the provider's
JWKS by an explicit list of algorithms, issuer, audience and times (RFC 8725, RFC 9068, OpenID Connect Core).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from portability.bounded_answers import bounded_answer, json_of, open_client
from portability.errors import ControlError, NotAllowed
from portability.settings import Settings

ALGORITHMS = ("ES256", "ES384", "RS256", "RS384", "PS256", "PS384", "EdDSA")
"""Only asymmetric algorithms: a public key must never be used as the secret of an HMAC."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", ""})
LOGOUT_TYPES = frozenset({"logout+jwt", "jwt", ""})
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_SECONDS = 300
"""The greatest age of a logout token."""
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


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a session keeps of a login at the provider."""

    id_token: str = ""
    """The hint of the logout (OpenID Connect RP-Initiated Logout 1.0)."""
    access_token: str = ""
    """For the present roles; empty if the provider does not publish them at its UserInfo endpoint."""
    provider_session: str | None = None
    """Its claim `sid`, which a back-channel logout names."""


NO_TOKENS = Tokens()


@dataclass
class OpenIdProvider:
    """An issuer; its metadata and keys are cached for ten minutes. Safe in several threads."""

    settings: Settings
    present: Callable[[], datetime]
    """Returns the time by which tokens are judged: that of the control database."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _metadata: Mapping[str, Any] = field(default_factory=dict)
    _keys: KeySet | None = None
    _read_at: float = float("-inf")
    _tried_at: float = float("-inf")
    """When it was asked last, also without an answer."""

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
            self._endpoint("authorization_endpoint"),
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

    def finish(self, code: str, *, nonce: str, verifier: str) -> tuple[Mapping[str, Any], Tokens]:
        """Exchange the code of a login for its claims and tokens. Raises ProviderUnavailable, LoginFailed."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        client = (self.settings.oidc_client_id or "", self.settings.oidc_client_secret or "")
        endpoint = self._endpoint("token_endpoint")
        try:
            answer = _ask("POST", endpoint, data={**form, "code_verifier": verifier}, auth=client)
            given = json_of(answer) if answer.is_success else {}
            token, access_token = given.get("id_token"), given.get("access_token")
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise ProviderUnavailable(f"the provider returned no token: {type(error).__name__}") from None
        if not isinstance(token, str):
            raise LoginFailed("the provider did not confirm the login")
        claims = self.verified(token, audience=client[0], nonce=nonce)
        published = self._published_roles(access_token, str(claims["sub"])) if isinstance(access_token, str) else None
        sid = claims.get("sid")
        tokens = Tokens(token, str(access_token) if published else "", sid if isinstance(sid, str) else None)
        return {**claims, **(published or {})}, tokens

    def _published_roles(self, access_token: str, sub: str) -> Mapping[str, Any] | None:
        """Return the roles and the tenant of the UserInfo endpoint; None: it does not say which roles a person has."""
        if not self._published().get("userinfo_endpoint"):
            return None
        # A client may lack the right to ask: then the roles are those of the ID token.
        info = self._user_info(access_token, sub)
        names = (self.settings.oidc_roles_claim, self.settings.oidc_tenant_claim)
        return {name: info.get(name) for name in names} if info and names[0] in info else None

    def user_info(self, access_token: str, *, sub: str) -> Mapping[str, Any]:
        """Return what the provider says now of the person of a login (OpenID Connect Core, 5.3).

        Raises: LoginFailed if the login is not valid any more; ProviderUnavailable.
        """
        info = self._user_info(access_token, sub)
        if not info:
            raise LoginFailed("the login at the provider has ended")
        return info

    def _user_info(self, access_token: str, sub: str) -> Mapping[str, Any] | None:
        """Return the answer of the UserInfo endpoint; None: it refuses the token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        endpoint = self._endpoint("userinfo_endpoint")
        try:
            answer = _ask("GET", endpoint, headers=headers)
            if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                return None
            info = json_of(answer.raise_for_status())
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderUnavailable(f"the provider did not say who is logged in: {type(error).__name__}") from None
        # Without this check an answer about another person could be accepted (5.3.2).
        if not isinstance(info, dict) or info.get("sub") != sub:
            raise LoginFailed("the provider's answer is about another person")
        return info

    def logout_url(self, id_token: str) -> str | None:
        """Return where a person logs out at the provider too; None if it offers no such page.

        Raises: ProviderUnavailable.
        """
        endpoint = self._published().get("end_session_endpoint")
        if not endpoint or not id_token:
            return None
        back = f"{self.settings.base_url.rstrip('/')}/"
        query = {"id_token_hint": id_token, "client_id": self.settings.oidc_client_id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def logged_out(self, token: str) -> Mapping[str, Any]:
        """Check a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6); returns its claims.

        Raises: LoginFailed, ProviderUnavailable.
        """
        claims = self._verified(token, LOGOUT_TYPES, aud=self.settings.oidc_client_id or "")
        events = claims.get("events")
        named = {name for name in ("jti", "sub", "sid") if isinstance(claims.get(name), str)}
        is_whole = "jti" in named and named & {"sub", "sid"}
        if not isinstance(events, dict) or LOGOUT_EVENT not in events or "nonce" in claims or not is_whole:
            raise LoginFailed("the token is not a logout token")
        if not isinstance(claims.get("iat"), int) or self._now() - claims["iat"] > LOGOUT_SECONDS:
            raise LoginFailed("the logout token is too old")
        return claims

    def verified(self, token: str, *, audience: str, nonce: str | None = None) -> Mapping[str, Any]:
        """Check a token: signature, type, issuer, audience, times and nonce; returns its claims.

        Raises: LoginFailed, ProviderUnavailable.
        """
        more = {"nonce": {"essential": True, "value": nonce}} if nonce else {}
        return self._verified(token, TYPES, aud=audience, exp={"essential": True}, sub={"essential": True}, **more)

    def _verified(self, token: str, types: Collection[str], *, aud: str, **more: Any) -> Mapping[str, Any]:  # noqa: ANN401  # as joserfc takes them
        wanted = {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": aud}, **more}
        decoded = self._decoded(token)
        if str(decoded.header.get("typ", "")).lower() not in types:
            raise LoginFailed("the token's `typ` is not the expected one")
        try:
            jwt.JWTClaimsRegistry(self._now, leeway=LEEWAY_SECONDS, **wanted).validate(decoded.claims)
        except JoseError as error:
            raise LoginFailed(f"the token is not valid: {error.error}") from None
        return decoded.claims

    def _now(self) -> int:
        return int(self.present().timestamp())

    def _decoded(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._key_set(), algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError):
            pass
        # The provider may have begun to sign with a key that is not cached yet.
        try:
            return jwt.decode(token, self._key_set(has_unknown_id=True), algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError) as error:
            raise LoginFailed(f"the token is not valid: {type(error).__name__}") from None

    def _published(self) -> Mapping[str, Any]:
        self._key_set()
        return self._metadata

    def _endpoint(self, name: str) -> str:
        return _address(self._published(), name)

    def _key_set(self, *, has_unknown_id: bool = False) -> KeySet:
        with self._lock:
            # A provider that fails is not asked more often because of unknown key ids than one that answers.
            since = max(self._read_at, self._tried_at) if has_unknown_id else self._read_at
            age_seconds = time.monotonic() - since
            if self._keys is None or age_seconds > (REFRESH_SECONDS if has_unknown_id else FRESH_SECONDS):
                self._tried_at = time.monotonic()
                self._metadata, self._keys = self._read()
                self._read_at = time.monotonic()
            return self._keys

    def _read(self) -> tuple[Mapping[str, Any], KeySet]:
        where = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            metadata = json_of(_ask("GET", where).raise_for_status())
            # The metadata must name the configured issuer (OpenID Connect Discovery, 4.3).
            if metadata["issuer"] != self.issuer:
                raise ProviderUnavailable("the provider's metadata name another issuer than PORTABILITY_OIDC_ISSUER")
            keys = json_of(_ask("GET", _address(metadata, "jwks_uri")).raise_for_status())
            return metadata, _signing_keys(keys["keys"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderUnavailable(f"the provider's metadata cannot be read: {type(error).__name__}") from None


def _ask(method: str, url: str, auth: tuple[str, str] | None = None, **sent: Any) -> httpx.Response:  # noqa: ANN401  # as httpx takes them
    with open_client(ANSWER_SECONDS, auth=auth) as client:
        return bounded_answer(client, method, url, ANSWER_SECONDS, **sent)


def _address(metadata: Mapping[str, Any], name: str) -> str:
    """Return an address of the metadata. Raises ProviderUnavailable."""
    found = metadata.get(name)
    with suppress(ValueError):
        if isinstance(found, str) and (parts := urlsplit(found)).hostname and parts.scheme in {"http", "https"}:
            return found
    raise ProviderUnavailable(f"the provider's metadata have no valid {name}")


def _signing_keys(published: Iterable[Mapping[str, Any]]) -> KeySet:
    """Return the keys that verify tokens, without those that are not understood (RFC 7517, section 5).

    Raises: ValueError if none is left.
    """
    found: list[Key] = []
    for key in published:
        if key.get("use", "sig") == "sig" and key.get("kty") != "oct":
            with suppress(JoseError, ValueError, KeyError, TypeError):
                found.append(JWKRegistry.import_key(dict(key)))
    if not found:
        raise ValueError("no key verifies tokens")
    return KeySet(found)
