"""Authentication: a session of the pages or a bearer token of the API becomes a `Login`."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Form, Request
from joserfc.jwk import ECKey

from portability.api import ADDRESS_KINDS, SubjectKind
from portability.errors import NotAllowed
from portability.requests import policy
from portability.requests.policy import PRESENT, ROLES, Action, Actor, ActorRole, Auth, Facts, Why
from portability.settings import Settings
from web.context import AppContext, CurrentContext
from web.provider import LoginFailed

CSRF_HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN = "login"
ADDRESS_SECONDS = 1800
"""How long a login by code is valid."""
CSRF = "csrf"


class NotLoggedIn(NotAllowed):
    """The request has no valid session and no valid token."""

    code = "not_logged_in"
    default_hint = "log in, or send a bearer token"


class ForgedForm(NotAllowed):
    """A form or call that does not come from a page of this session, or whose session has ended."""

    code = "forged_form"
    default_hint = "reload the page and send it again"


@dataclass(frozen=True, slots=True)
class Login:
    """A logged-in person: as the OpenID provider describes them, or who has proved an address by a code."""

    id: str
    """Of the account, or the address in its normal form."""
    roles: tuple[str, ...]
    tenant: str | None
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int
    at: int
    """When this application accepted the login, in seconds since 1970."""
    kind: SubjectKind = SubjectKind.USER
    """The kind of subject that this person is."""
    ref: str | None = None
    """The pseudonym of an address."""

    @property
    def subject(self) -> str:
        """Return the subject that this person is, as requests name it."""
        return f"{self.kind}:{self.id}"

    def actors(self) -> Iterator[Actor]:
        """Yield the actors as which this person can act, as the subject first."""
        for role in self.roles:
            tenant = self.tenant if role == ActorRole.TENANT_ADMIN else None
            yield Actor(role, self.id, tenant, kind=self.kind, ref=self.ref)

    def auth(self, settings: Settings) -> Auth:
        """Return how strong and how fresh the login is."""
        if self.kind in ADDRESS_KINDS:
            # The code proves all that can be proved; its session is short.
            return PRESENT
        claims = {"acr": self.acr, "amr": self.amr, "auth_time": self.auth_time}
        limits = {"strong_acr": settings.strong_acr, "max_age_seconds": settings.step_up_seconds}
        return Auth.of(claims, **limits, present=datetime.now(UTC))  # type: ignore[arg-type]  # two of two types


NEAREST = (Why.STEP_UP, Why.NO_REASON, Why.FOUR_EYES, Why.NOT_ALLOWED, Why.NOT_YOURS)
"""Of several refusals the first of these is reported: what the person can change comes first."""


def permit(
    place: AppContext, login: Login, action: Action, facts: Facts | None = None, *, export_id: str = ""
) -> Actor:
    """Return the first actor of a login that is permitted an action.

    Raises: UnknownExport, NotAllowed, ReasonRequired, StepUpRequired.
    """
    auth = login.auth(place.settings)
    refusals = []
    for actor in login.actors():
        decision = policy.allowed(actor, action, facts, auth)
        if decision:
            return actor
        refusals.append(decision)
    settings = place.settings
    nearest = min(refusals, key=lambda refusal: NEAREST.index(refusal.why))
    nearest.enforce(export_id=export_id, acr_values=settings.strong_acr, max_age_seconds=settings.step_up_seconds)
    raise AssertionError  # enforce raises for every refusal


def may(place: AppContext, login: Login, action: Action, facts: Facts | None = None) -> bool:
    """Return whether a page shows the button of an action.

    It does for a login that is only too weak or too old: the person is then asked to log in again.
    """
    auth = login.auth(place.settings)
    answers = (policy.allowed(actor, action, facts, auth).why for actor in login.actors())
    return any(why in {Why.ALLOWED, Why.STEP_UP, Why.NO_REASON} for why in answers)


def from_claims(settings: Settings, claims: Mapping[str, Any]) -> Login:
    """Return the login that the provider's claims describe.

    Unknown roles are left out. Each person has the role `subject`.
    """
    listed = _texts(claims.get(settings.oidc_roles_claim))
    tenant = claims.get(settings.oidc_tenant_claim)
    auth_time = claims.get("auth_time")
    acr = claims.get("acr")
    return Login(
        id=str(claims["sub"]),
        roles=("subject", *(role for role in ROLES if role in listed and role not in {"subject", "operator"})),
        tenant=tenant if isinstance(tenant, str) else None,
        acr=acr if isinstance(acr, str) else None,
        amr=_texts(claims.get("amr")),
        # Without this claim the age of the login is unknown: it counts as not fresh (RFC 9470).
        auth_time=auth_time if isinstance(auth_time, int) else 0,
        at=int(time.time()),
    )


def remember(request: Request, login: Login) -> None:
    """Begin a session. It keeps nothing of an earlier session but the language: this prevents session fixation."""
    language = request.session.get("language")
    request.session.clear()
    request.session.update({LOGIN: asdict(login), CSRF: secrets.token_urlsafe(24)})
    if language is not None:
        request.session["language"] = language


def session_login(request: Request, place: AppContext) -> Login | None:
    """Return the login of a session; None without a login, or when its time is over."""
    kept = request.session.get(LOGIN)
    if kept is None:
        return None
    kind = SubjectKind(kept.get("kind", SubjectKind.USER))
    valid_seconds = ADDRESS_SECONDS if kind in ADDRESS_KINDS else place.settings.session_seconds
    if not 0 <= time.time() - kept["at"] <= valid_seconds:
        return None
    return Login(**{**kept, "roles": tuple(kept["roles"]), "amr": tuple(kept["amr"]), "kind": kind})


def csrf_token(request: Request) -> str:
    """Return the token that the forms of this session carry; it is made for the first form."""
    if CSRF not in request.session:
        request.session[CSRF] = secrets.token_urlsafe(24)
    return str(request.session[CSRF])


def _page_login(request: Request, place: CurrentContext) -> Login:
    login = session_login(request, place)
    if login is None:
        raise NotLoggedIn("the session has no login")
    return login


def _caller(request: Request, place: CurrentContext) -> Login:
    """Return the login of an API call: by its bearer token, or by the session of the pages."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not token or place.provider is None:
            raise NotLoggedIn("the Authorization header has no bearer token that can be checked here")
        try:
            claims = place.provider.verified(token.strip(), audience=place.settings.audience)
        except LoginFailed as error:
            raise NotLoggedIn(str(error)) from None
        return from_claims(place.settings, claims)
    login = _page_login(request, place)
    if request.method not in SAFE:
        check_form(request, request.headers.get(CSRF_HEADER, ""))
    return login


def _from_our_form(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> None:
    check_form(request, csrf)


def check_form(request: Request, sent: str) -> None:
    """Check that a form belongs to this session. Raises ForgedForm."""
    # Most browsers say where a request comes from; the token also protects those that do not.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedForm("the request comes from another site")
    known = request.session.get(CSRF)
    if not known or not hmac.compare_digest(str(known).encode(), sent.encode()):
        raise ForgedForm("the form does not belong to this session")


def session_secret(key: ECKey) -> str:
    """Return the secret that signs sessions, derived from the link key, which each machine of the deployment has."""
    private = key.as_dict(private=True)["d"]
    return hmac.new(str(private).encode(), b"portability session 1", "sha256").hexdigest()


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


LoggedIn = Annotated[Login, Depends(_page_login)]
"""The login of a page. Raises NotLoggedIn."""
Caller = Annotated[Login, Depends(_caller)]
"""The login of an API call. Raises NotLoggedIn, ForgedForm."""
OurForm = Depends(_from_our_form)
"""The form belongs to this session. Raises ForgedForm."""
