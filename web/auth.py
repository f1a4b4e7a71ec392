"""Who is asking: a session of the pages, or a bearer token of the API, as one `Login`."""

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

from portability import policy
from portability.errors import NotAllowed
from portability.policy import ROLES, Action, Actor, Auth, Facts, Role, Why
from portability.settings import Settings
from web.place import Here, Place
from web.provider import LoginFailed

CSRF_HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN = "login"
CSRF = "csrf"


class NotLoggedIn(NotAllowed):
    """Nobody has shown who they are."""

    code = "not_logged_in"
    default_hint = "log in, or send a bearer token"


class ForgedForm(NotAllowed):
    """A form or call that does not come from our own pages, or from one that was open for too long."""

    code = "forged_form"
    default_hint = "reload the page and send it again"


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who has shown who they are, as the OpenID provider says."""

    id: str
    roles: tuple[str, ...]
    tenant: str | None
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int
    at: int
    """When this login was taken."""

    def actors(self) -> Iterator[Actor]:
        """As whom they can act, their own first."""
        for role in self.roles:
            yield Actor(role, self.id, self.tenant if role == Role.TENANT_ADMIN else None)

    def auth(self, settings: Settings) -> Auth:
        """How sure it is that it is them."""
        claims = {"acr": self.acr, "amr": self.amr, "auth_time": self.auth_time}
        limits = {"strong_acr": settings.strong_acr, "max_age_seconds": settings.step_up_seconds}
        return Auth.of(claims, **limits, present=datetime.now(UTC))  # type: ignore[arg-type]  # two of two types


NEAREST = (Why.STEP_UP, Why.NO_REASON, Why.FOUR_EYES, Why.NOT_ALLOWED, Why.NOT_YOURS)
"""Of several noes the one that is told: what would help first."""


def permit(place: Place, login: Login, action: Action, facts: Facts | None = None, *, export_id: str = "") -> Actor:
    """The first role of theirs that may. Raises UnknownExport, NotAllowed, ReasonRequired, StepUpRequired."""
    auth = login.auth(place.settings)
    noes = []
    for actor in login.actors():
        decision = policy.allowed(actor, action, facts, auth)
        if decision:
            return actor
        noes.append(decision)
    settings = place.settings
    nearest = min(noes, key=lambda no: NEAREST.index(no.why))
    nearest.enforce(export_id=export_id, acr_values=settings.strong_acr, max_age_seconds=settings.step_up_seconds)
    raise AssertionError  # enforce raises for every no


def may(place: Place, login: Login, action: Action, facts: Facts | None = None) -> bool:
    """Whether a page shows the button. A login that is only not fresh enough may: it is asked to confirm."""
    auth = login.auth(place.settings)
    answers = (policy.allowed(actor, action, facts, auth).why for actor in login.actors())
    return any(why in {Why.ALLOWED, Why.STEP_UP, Why.NO_REASON} for why in answers)


def from_claims(settings: Settings, claims: Mapping[str, Any]) -> Login:
    """Whoever the provider's claims name. A role that is none of ours is left out; everybody is a subject."""
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
        # Without it nobody knows how fresh the login is: then it is not (RFC 9470).
        auth_time=auth_time if isinstance(auth_time, int) else 0,
        at=int(time.time()),
    )


def remember(request: Request, login: Login) -> None:
    """Begin a session. All that an earlier one held is gone: nobody can prepare somebody else's session."""
    language = request.session.get("language")
    request.session.clear()
    request.session.update({LOGIN: asdict(login), CSRF: secrets.token_urlsafe(24)})
    if language is not None:
        request.session["language"] = language


def session_login(request: Request, place: Place) -> Login | None:
    """Who is logged in on the pages; None after `SESSION_SECONDS`."""
    kept = request.session.get(LOGIN)
    if kept is None or not 0 <= time.time() - kept["at"] <= place.settings.session_seconds:
        return None
    return Login(**{**kept, "roles": tuple(kept["roles"]), "amr": tuple(kept["amr"])})


def csrf_token(request: Request) -> str:
    """What a form of this session carries; made at the first form."""
    if CSRF not in request.session:
        request.session[CSRF] = secrets.token_urlsafe(24)
    return str(request.session[CSRF])


def _page_login(request: Request, place: Here) -> Login:
    login = session_login(request, place)
    if login is None:
        raise NotLoggedIn("nobody is logged in")
    return login


def _caller(request: Request, place: Here) -> Login:
    """Whoever calls the API: by token, or by the session of our own pages."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not token or place.provider is None:
            raise NotLoggedIn("no bearer token that could be checked here")
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
    """Whether a form is of this session. Raises ForgedForm."""
    # Browsers say where a request comes from; the token holds where one does not.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedForm("the request comes from another site")
    known = request.session.get(CSRF)
    if not known or not hmac.compare_digest(str(known).encode(), sent.encode()):
        raise ForgedForm("the form is not of this session")


def session_secret(key: ECKey) -> str:
    """What sessions are signed with: derived from the link key, which every machine of the deployment has."""
    private = key.as_dict(private=True)["d"]
    return hmac.new(str(private).encode(), b"portability session 1", "sha256").hexdigest()


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


LoggedIn = Annotated[Login, Depends(_page_login)]
"""Somebody on the pages. Raises NotLoggedIn."""
Caller = Annotated[Login, Depends(_caller)]
"""Somebody at the API. Raises NotLoggedIn, ForgedForm."""
OurForm = Depends(_from_our_form)
"""The form came from our own page. Raises ForgedForm."""
