"""Logins of sources: headers or parameters of a request, and tokens that change.

A refresh token may be valid once: two workers that refresh at a time lock the deployment out. So one worker refreshes,
under a lock, and the new token is stored before it is used (ADR 59).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

import httpx
from pydantic import Field, StringConstraints

from exporters.http import bodies
from exporters.http.forms import HEADER_NAME, HEADER_VALUE
from exporters.http.guard import AllowedUrl
from exporters.http.waits import passes
from exporters.maps.forms import MapForm, Text
from exporters.maps.numbers import number
from portability.api import Sources
from portability.api.errors import BadSetting, SourceRefused, SourceUnavailable
from portability.api.references import is_reference, resolve
from portability.certificates import trusted_certificates
from portability.read_limits import limit_client, reads_within
from portability.unreached import cause_of

TOKEN_BYTES_MAX = 65_536
JSON_WANTED = {"Accept": "application/json"}
"""Some endpoints write a form otherwise, such as that of GitHub."""
REAUTHORISE_HINT = (
    "authorise this software again in the source, set the new refresh token where `auth.refresh_token` of this source"
    " reads it, start the processes again, and then repeat exports with `portability retry --gaps`"
)
LIFETIME_MAX = 10**10
"""Seconds; a token with a longer life has no end."""
ANSWER_SECONDS = 60.0
"""A token endpoint may end a refresh token before it answers: without the answer the new token is lost."""
CONNECT_SECONDS = 10.0
PAUSE_SECONDS = 60.0
"""How long nothing is sent to a token endpoint that it has refused."""
CLIENT_REFUSED = frozenset({"invalid_client", "unauthorized_client", "invalid_scope", "invalid_request"})
REFUSED = CLIENT_REFUSED | {"invalid_grant", "unsupported_grant_type"}
"""What an endpoint may say (RFC 6749, section 5.2); other texts of it are not repeated."""


class NoLogin(MapForm):
    """The source needs no login."""

    kind: Literal["none"]


class BasicLogin(MapForm):
    """A name and a password."""

    kind: Literal["basic"]
    username: Text
    password: Text | None = None
    """Left out where the source takes a key as the name, and no password."""


class BearerLogin(MapForm):
    """A token that does not change."""

    kind: Literal["bearer"]
    token: Text


class NamedLogin(MapForm):
    """A key in a header or a parameter."""

    kind: Literal["header", "query"]
    name: Text
    value: Text


class OAuthForm(MapForm):
    """Tokens by the client's own credentials (RFC 6749 section 4.4), or by a refresh token (section 6)."""

    kind: Literal["oauth2", "oauth2_refresh"]
    token_url: Text
    client_id: Text
    client_secret: Text
    refresh_token: Text | None = None
    scope: Text | None = None
    client_in: Literal["body", "header"] = "body"
    """Where the client's credentials are."""
    scheme: Annotated[str, StringConstraints(pattern=f"^{HEADER_NAME}$")] = "Bearer"
    """The word before the token in the header `Authorization`."""
    refresh_before_seconds: int = Field(default=120, ge=0)


LoginForm = Annotated[NoLogin | BasicLogin | BearerLogin | NamedLogin | OAuthForm, Field(discriminator="kind")]


class SourceLogin(Protocol):
    """What a request of the source gets."""

    def headers(self) -> Mapping[str, str]: ...

    def params(self) -> Mapping[str, str]: ...

    def replaces(self, rejected: Mapping[str, str]) -> bool:
        """Return whether there is something new after these headers were refused with 401."""
        ...


@dataclass(frozen=True, slots=True)
class FixedLogin:
    """Headers and parameters that do not change."""

    fixed_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    fixed_params: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers(self) -> Mapping[str, str]:
        return self.fixed_headers

    def params(self) -> Mapping[str, str]:
        return self.fixed_params

    def replaces(self, rejected: Mapping[str, str]) -> bool:
        del rejected
        return False


def fixed_login(form: LoginForm) -> FixedLogin:
    """Make the login of every kind without changing tokens. Raises BadSetting."""
    match form:
        case BasicLogin(username=username, password=password):
            secret = resolve(password, "auth.password") if password else ""
            pair = f"{_value(username, 'auth.username')}:{secret}"
            return FixedLogin({"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})
        case BearerLogin(token=token):
            return FixedLogin({"Authorization": f"Bearer {_in_header(token, 'auth.token')}"})
        case NamedLogin(kind="header", name=name, value=value):
            if not re.fullmatch(HEADER_NAME, name):
                raise BadSetting("auth.name: no header can have this name")
            return FixedLogin({name: _in_header(value, "auth.value")})
        case NamedLogin(name=name, value=value):
            return FixedLogin({}, {name: resolve(value, "auth.value")})
        case _:
            return FixedLogin()


@dataclass(frozen=True, slots=True)
class _Refused:
    """What a token endpoint has refused in this process, and until when it is not sent anew."""

    token: str | None = field(repr=False)
    error: SourceRefused
    ends_at: float

    def holds(self, token: str | None) -> bool:
        return token == self.token and time.monotonic() < self.ends_at


class TokenLogin:
    """A login by access tokens that expire. All workers use the same token."""

    def __init__(self, name: str, form: OAuthForm, url: AllowedUrl, connections: Sources) -> None:
        """Prepare the login of the source `name`. Raises BadSetting if a reference has no value."""
        self._name = name
        self._form = form
        self._url = url
        self._connections = connections
        self._client = (_value(form.client_id, "auth.client_id"), resolve(form.client_secret, "auth.client_secret"))
        self._first = resolve(form.refresh_token, "auth.refresh_token") if form.refresh_token else None
        self._rejected = ""
        self._refused: _Refused | None = None

    def headers(self) -> Mapping[str, str]:
        """Return the header with a current token. Raises SourceUnavailable, SourceRefused."""
        stored = self._connections.shared.secret(self._name, self._is_current, self._renewed)
        return {"Authorization": f"{self._form.scheme} {json.loads(stored)['access_token']}"}

    def params(self) -> Mapping[str, str]:
        return {}

    def replaces(self, rejected: Mapping[str, str]) -> bool:
        """Return True: the next `headers` are of another token, unless the source refuses the refresh."""
        self._rejected = rejected.get("Authorization", "").removeprefix(f"{self._form.scheme} ")
        return True

    def _is_current(self, stored: str) -> bool:
        tokens = json.loads(stored)
        expires_at = tokens["expires_at"]
        is_fresh = expires_at is None or time.time() < expires_at - tokens["margin"]
        # An operator who authorises again gives another first token: it replaces what is stored.
        return bool(is_fresh and tokens["access_token"] != self._rejected and tokens["seed"] == self._seed)

    @property
    def _seed(self) -> str:
        return hashlib.sha256((self._first or "").encode()).hexdigest()

    def _renewed(self, stored: str | None) -> str:
        """Return new tokens. Raises SourceUnavailable, SourceRefused."""
        tokens = json.loads(stored) if stored is not None else {}
        is_known = tokens.get("seed") == self._seed
        refresh_token = (tokens.get("refresh_token") if is_known else None) or self._first
        answer = self._asked(refresh_token)
        access_token, lifetime = answer.get("access_token"), _seconds(answer.get("expires_in"))
        if not isinstance(access_token, str) or not re.fullmatch(HEADER_VALUE, access_token):
            raise SourceRefused(f"{self._name}: the answer of the token endpoint has no access_token for a header")
        following = answer.get("refresh_token") if self._form.kind == "oauth2_refresh" else None
        if following and not isinstance(following, str):
            raise SourceRefused(f"{self._name}: the answer of the token endpoint has a refresh_token that is not text")
        if access_token == self._rejected:
            self._rejected = ""  # the endpoint gives it again until it ends: each request would ask for it
        return json.dumps(
            {
                "access_token": access_token,
                "refresh_token": following or refresh_token,
                "expires_at": time.time() + lifetime if lifetime is not None else None,
                # A token with a short life is used for half of it at least.
                "margin": min(self._form.refresh_before_seconds, (lifetime or 0) / 2),
                "seed": self._seed,
            }
        )

    def _asked(self, refresh_token: str | None) -> Mapping[str, Any]:
        """Return an answer with tokens. Each dataset would repeat what was refused: it is asked once in a while."""
        if self._refused and self._refused.holds(refresh_token):
            raise SourceRefused(str(self._refused.error), hint=self._refused.error.hint)
        try:
            return self._answer(refresh_token)
        except SourceRefused as error:
            self._refused = _Refused(refresh_token, error, time.monotonic() + PAUSE_SECONDS)
            raise

    def _answer(self, refresh_token: str | None) -> Mapping[str, Any]:
        grant = {"grant_type": "client_credentials"}
        if self._form.kind == "oauth2_refresh":
            grant = {"grant_type": "refresh_token", "refresh_token": refresh_token or ""}
        if self._form.scope:
            grant["scope"] = self._form.scope
        login = httpx.BasicAuth(*self._client) if self._form.client_in == "header" else None
        if login is None:
            grant |= {"client_id": self._client[0], "client_secret": self._client[1]}
        ends_at = time.monotonic() + ANSWER_SECONDS
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        network = httpx.HTTPTransport(verify=trusted_certificates(), trust_env=False)
        try:
            # It is not retried: the source may have accepted the refresh token, although its answer was lost.
            # It ends within RENEWAL_SECONDS: another worker would send the same refresh token after its wait.
            with (
                limit_client(httpx.Client(transport=network, timeout=timeout, trust_env=False)) as client,
                reads_within(ANSWER_SECONDS),
                client.stream("POST", self._url.url, data=grant, auth=login, headers=JSON_WANTED) as answer,
            ):
                body = bodies.whole(answer, TOKEN_BYTES_MAX, ends_at, self._name)
        except httpx.TransportError as error:
            raise SourceUnavailable(f"{self._name}: the token endpoint fails: {cause_of(error)}") from None
        return self._tokens(answer.status_code, body)

    def _tokens(self, status: int, body: bytes) -> Mapping[str, Any]:
        if status == httpx.codes.TOO_MANY_REQUESTS or passes(status):
            raise SourceUnavailable(f"{self._name}: the token endpoint answers {status}")
        if status != httpx.codes.OK:
            raise self._refusal(status, body)
        tokens = bodies.parsed(body, f"{self._name}: the token endpoint")
        if not isinstance(tokens, dict):
            raise SourceRefused(f"{self._name}: the answer of the token endpoint is not a JSON object")
        return tokens

    def _refusal(self, status: int, body: bytes) -> SourceRefused:
        said = _error_of(body)
        what = f"{self._name}: the token endpoint refuses the login with {status}{f' ({said})' if said else ''}"
        if self._form.kind == "oauth2_refresh" and said not in CLIENT_REFUSED:
            return SourceRefused(f"{what}: its refresh token is used up, revoked or lost", hint=REAUTHORISE_HINT)
        return SourceRefused(what, hint="check client_id, client_secret and scope in `auth` of this source")


def _error_of(body: bytes) -> str:
    """Return the error that a refusal names; empty if it names none that is known."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, str) and error in REFUSED else ""


def _in_header(reference: str, key: str) -> str:
    """Return the value that a reference names. Raises BadSetting, also if no header can have it; it is not repeated."""
    value = resolve(reference, key)
    if not re.fullmatch(HEADER_VALUE, value):
        hint = "it must be ASCII in one line: look for a byte order mark, quotes of a text program, or a line break"
        raise BadSetting(f"{key}: no header can have this value", hint=hint)
    return value


def _seconds(stated: object) -> float | None:
    """Return how long a token lasts, which some endpoints write as a text; None: it is not known.

    0 would be a new token for each request. Such a token is used until the source refuses it, as one without a life.
    """
    try:
        lifetime = number(stated)
    except (TypeError, ValueError):
        return None
    return float(lifetime) if 0 < lifetime < LIFETIME_MAX else None


def _value(text: str, key: str) -> str:
    """Return a value that may stand in the file itself, or be referred to."""
    return resolve(text, key) if is_reference(text) else text
