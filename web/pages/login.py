"""Log in and out, choose a language: OpenID Connect, or the development login of the embedded stack."""

from __future__ import annotations

import hmac
import time
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from portability import locale
from portability.delivery import codes, limits
from portability.requests.policy import ROLES
from web import rendering
from web.auth import Login, OurForm, from_claims, remember
from web.context import CurrentContext
from web.provider import LoginFailed

router = APIRouter(include_in_schema=False)

PENDING = "pending"
PENDING_SECONDS = 600
PLAYED_ROLES = tuple(role for role in ROLES if role not in {"operator", "recipient"})
Name = Annotated[str, Form(max_length=100, pattern=r"^[A-Za-z0-9._@~-]+$")]
Next = Annotated[str, Query(max_length=rendering.LOCAL_LENGTH)]


@router.get("/")
def home(request: Request) -> Response:
    """Show the start page."""
    return rendering.page(request, "home.html")


@router.get("/login")
def begin(request: Request, place: CurrentContext, next: Next = "/me", again: str = "") -> Response:  # noqa: A002  # the parameter's public name
    """Redirect to the provider, or show the form of the development login. `again`: request a strong, fresh login."""
    if place.provider is None:
        playing = place.settings.development_login
        return rendering.page(
            request, "login.html", development=playing, roles=PLAYED_ROLES, next=rendering.local(next)
        )
    attempt = place.provider.begin(step_up=bool(again))
    kept = {"state": attempt.state, "nonce": attempt.nonce, "verifier": attempt.verifier}
    request.session[PENDING] = {**kept, "next": rendering.local(next), "at": int(time.time())}
    return RedirectResponse(attempt.url, 303)


@router.get("/login/callback")
def finish(
    request: Request, place: CurrentContext, code: Annotated[str, Query(max_length=4096)] = "", state: str = ""
) -> Response:
    """Accept the provider's answer to an attempt of this browser (RFC 6749, 10.12). Raises LoginFailed."""
    place.limits.attempt(limits.LOGIN, rendering.address(request))
    pending = request.session.pop(PENDING, None)
    if place.provider is None or pending is None or not code:
        raise LoginFailed("this browser has not begun a login")
    if not hmac.compare_digest(str(pending["state"]).encode(), state.encode()):
        raise LoginFailed("the answer belongs to another login")
    if not 0 <= time.time() - pending["at"] <= PENDING_SECONDS:
        raise LoginFailed(f"the login took longer than {PENDING_SECONDS} seconds")
    claims = place.provider.finish(code, nonce=pending["nonce"], verifier=pending["verifier"])
    remember(request, from_claims(place.settings, claims))
    return rendering.see_other(rendering.local(pending["next"]))


@router.post("/login/development", dependencies=[OurForm])
def play(
    request: Request,
    place: CurrentContext,
    role: Annotated[str, Form(max_length=20)],
    id: Name,  # noqa: A002  # the field's name
    tenant: Annotated[str, Form(max_length=100, pattern=r"^[A-Za-z0-9._~-]*$")] = "",
    weak: Annotated[str, Form(max_length=1)] = "",
    next: Annotated[str, Form(max_length=rendering.LOCAL_LENGTH)] = "/me",  # noqa: A002  # as above
) -> Response:
    """Log in as any person, on this machine only: the settings refuse it with a public BASE_URL."""
    place.limits.attempt(limits.LOGIN, rendering.address(request))
    if not place.settings.development_login or role not in PLAYED_ROLES:
        raise HTTPException(404)
    roles = ("subject",) if role == "subject" else ("subject", role)
    moment = int(time.time())
    strong = () if weak else tuple(place.settings.strong_acr)
    remember(request, Login(id, roles, tenant or None, acr=None, amr=strong, auth_time=moment, at=moment))
    after = rendering.local(next)
    return rendering.see_other("/staff" if after == "/me" and len(roles) > 1 else after)


@router.post("/logout", dependencies=[OurForm])
def leave(request: Request) -> Response:
    """Log out."""
    request.session.clear()
    return rendering.see_other("/")


@router.post("/language", dependencies=[OurForm])
def speak(
    request: Request,
    language: Annotated[str, Form(max_length=35)],
    next: Annotated[str, Form(max_length=rendering.LOCAL_LENGTH)] = "/",  # noqa: A002  # as above
) -> Response:
    """Show pages in the chosen language from now on, whatever the browser asks for."""
    if language in locale.languages():
        request.session["language"] = language
    if next in {"/", "/login"}:
        return rendering.see_other("/")
    return rendering.see_other(next if next == codes.LOGIN_PAGE else rendering.local(next))
