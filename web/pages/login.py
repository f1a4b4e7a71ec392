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
from web import rendering, sessions
from web.auth import LoggedIn, OurForm
from web.context import CurrentContext
from web.logins import Login, from_claims
from web.provider import LoginFailed
from web.sessions import PageSession

router = APIRouter(include_in_schema=False)

CONTINUE = "/login/continue"
PENDING = "pending"
PENDING_SECONDS = 600
PLAYED_ROLES = tuple(role for role in ROLES if role not in {"operator", "recipient"})
Name = Annotated[str, Form(max_length=100, pattern=r"^[A-Za-z0-9._@~/|:-]+$")]
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
    request.session[PENDING] = {**kept, "next": rendering.local(next), "at": int(time.time()), "again": bool(again)}
    return RedirectResponse(attempt.url, 303)


@router.get("/login/callback")
def finish(
    request: Request, place: CurrentContext, code: Annotated[str, Query(max_length=4096)] = "", state: str = ""
) -> Response:
    """Accept the provider's answer to an attempt of this browser (RFC 6749, 10.12). Raises LoginFailed."""
    pending = request.session.pop(PENDING, None)
    if place.provider is None or pending is None or not code:
        raise LoginFailed("this browser has not begun a login")
    if not hmac.compare_digest(str(pending["state"]).encode(), state.encode()):
        raise LoginFailed("the answer belongs to another login")
    # It may have begun on another machine, whose clock is ahead.
    if abs(time.time() - pending["at"]) > PENDING_SECONDS:
        raise LoginFailed(f"the login took longer than {PENDING_SECONDS} seconds")
    # Only an attempt that this browser has begun reaches the provider, and only its failures count.
    place.limits.check(limits.LOGIN, rendering.address(request))
    try:
        claims, tokens = place.provider.finish(code, nonce=pending["nonce"], verifier=pending["verifier"])
        login = from_claims(place.settings, claims)
    except LoginFailed:
        place.observations.note("login.failed", "provider")
        place.limits.attempt(limits.LOGIN, rendering.address(request))
        raise
    session = sessions.begin(request, place, login, tokens, again=pending["again"])
    return rendering.see_other(_after(session, pending["next"]))


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
    if not place.settings.development_login or role not in PLAYED_ROLES:
        raise HTTPException(404)
    roles = ("subject",) if role == "subject" else ("subject", role)
    moment = int(time.time())
    strong = () if weak else tuple(place.settings.strong_acr)
    login = Login(id, roles, tenant or None, acr=None, amr=strong, auth_time=moment, at=moment)
    session = sessions.begin(request, place, login, again=True)
    after = _after(session, next)
    return rendering.see_other("/staff" if after == "/me" and len(roles) > 1 else after)


def _after(session: PageSession, asked: str) -> str:
    """Return the page after a login: the form that waits, else the page that was asked for."""
    return CONTINUE if session.wanted and session.wanted.fields else rendering.local(asked)


@router.get(CONTINUE)
def resume(request: Request, place: CurrentContext, _login: LoggedIn) -> Response:
    """Show the form that a person had filled in before they logged in again; they send it with one button."""
    wanted = sessions.take_wanted(request, place)
    if not wanted or not wanted.fields:
        return rendering.see_other("/me")
    return rendering.page(request, "continue.html", action=wanted.path, fields=wanted.fields)


@router.post("/logout", dependencies=[OurForm])
def leave(request: Request, place: CurrentContext) -> Response:
    """Log out, here and at the provider: the session's cookie is worthless from now on, also a copy of it."""
    session = sessions.end(request, place)
    url = place.provider.logout_url(session.id_token) if place.provider and session else None
    if url:
        # Not a redirect: browsers refuse a redirect from a form to another site (form-action of the content policy).
        return rendering.page(request, "logged_out.html", headers={"Refresh": f"0; url={url}"}, url=url)
    return rendering.see_other("/")


@router.post("/login/backchannel")
def end_by_provider(place: CurrentContext, logout_token: Annotated[str, Form(max_length=16_384)]) -> Response:
    """End the sessions that the provider has ended (OpenID Connect Back-Channel Logout 1.0). Raises LoginFailed."""
    if not place.provider:
        raise HTTPException(404)
    sessions.end_by_provider(place, place.provider.logged_out(logout_token))
    return Response(status_code=200)


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
