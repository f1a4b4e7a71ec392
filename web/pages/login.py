"""Log in and out, choose a language: OpenID Connect, or the development login of the embedded stack."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from portability import locale
from portability.delivery import codes, limits
from portability.requests.policy import ROLES
from web import rendering, sessions
from web.auth import LoggedIn, OurForm, check_form
from web.context import CurrentContext
from web.logins import Login, from_claims
from web.provider import LoginFailed
from web.sessions import PageSession

router = APIRouter(include_in_schema=False)

CONTINUE = "/login/continue"
ATTEMPTS = "attempts"
"""In the cookie: the logins that this browser has begun, the oldest first, by state. Each tab may have its own."""
ATTEMPTS_LENGTH = 2300
"""Characters of the attempts: a browser refuses a cookie of more than 4,096 bytes."""
PENDING_SECONDS = 600
PLAYED_ROLES = tuple(role for role in ROLES if role not in {"operator", "recipient"})
NAMES = r"[A-Za-z0-9._@~\/\|:\-]+"
"""Ids of people and names of staff for the test login. Browsers require the backslashes in a set of characters."""
NAME_LENGTH = 200
Name = Annotated[str, Form(max_length=NAME_LENGTH, pattern=f"^{NAMES}$")]
FormKey = Annotated[str, Query(max_length=20, pattern="^[A-Za-z0-9_-]*$")]
Next = Annotated[str, Query(max_length=rendering.LOCAL_LENGTH)]


@router.get("/")
def home(request: Request) -> Response:
    """Show the start page."""
    return rendering.page(request, "home.html")


@router.get("/login")
def begin(request: Request, place: CurrentContext, next: Next = "/me", again: str = "", form: FormKey = "") -> Response:  # noqa: A002  # the parameter's public name
    """Redirect to the provider, or show the form of the development login.

    `again`: request a strong, fresh login; `form`: the key of the form that waits for it.
    """
    if place.provider is None:
        playing = place.settings.development_login
        return rendering.page(
            request,
            "login.html",
            development=playing,
            roles=PLAYED_ROLES,
            names=NAMES,
            name_length=NAME_LENGTH,
            next=rendering.local(next),
            form=form,
        )
    attempt = place.provider.begin(step_up=bool(again))
    asked = {"next": rendering.local(next), "at": int(time.time()), "again": bool(again), "form": form}
    _remember(request, attempt.state, {"nonce": attempt.nonce, "verifier": attempt.verifier, **asked})
    return RedirectResponse(attempt.url, 303)


def _remember(request: Request, state: str, attempt: Mapping[str, object]) -> None:
    """Keep an attempt beside those of other tabs; the oldest are left out where the cookie would be too long."""
    kept = {**request.session.get(ATTEMPTS, {}), state: attempt}
    while len(kept) > 1 and len(json.dumps(kept)) > ATTEMPTS_LENGTH:
        kept.pop(next(iter(kept)))
    request.session[ATTEMPTS] = kept


@router.get("/login/callback")
def finish(
    request: Request, place: CurrentContext, code: Annotated[str, Query(max_length=4096)] = "", state: str = ""
) -> Response:
    """Accept the provider's answer to an attempt of this browser (RFC 6749, 10.12). Raises LoginFailed."""
    # An answer to no attempt of this browser ends them all: the state of none can be guessed.
    attempts = request.session.pop(ATTEMPTS, {})
    pending = attempts.pop(state, None)
    if not pending and sessions.current(request, place):
        # Another tab was faster. Nothing of the answer is used: it may be that of an attacker's own login.
        rendering.flash(request, "logged_in_already")
        return rendering.see_other("/me")
    if not (place.provider and pending and code):
        raise LoginFailed("this browser has not begun this login")
    if attempts:
        request.session[ATTEMPTS] = attempts
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
    waiting = pending.get("form", "")  # a login that began before an upgrade names none
    session = sessions.begin(request, place, login, tokens, again=pending["again"], form=waiting)
    return rendering.see_other(_after(session, pending["next"], waiting))


@router.post("/login/development", dependencies=[OurForm])
def play(
    request: Request,
    place: CurrentContext,
    role: Annotated[str, Form(max_length=20)],
    id: Name,  # noqa: A002  # the field's name
    tenant: Annotated[str, Form(max_length=100, pattern=r"^[A-Za-z0-9._~-]*$")] = "",
    weak: Annotated[str, Form(max_length=1)] = "",
    next: Annotated[str, Form(max_length=rendering.LOCAL_LENGTH)] = "/me",  # noqa: A002  # as above
    form: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Log in as any person, on this machine only: the settings refuse it with a public BASE_URL."""
    if not place.settings.development_login or role not in PLAYED_ROLES:
        raise HTTPException(404)
    roles = ("subject",) if role == "subject" else ("subject", role)
    moment = int(time.time())
    strong = () if weak else tuple(place.settings.strong_acr)
    login = Login(id, roles, tenant or None, acr=None, amr=strong, auth_time=moment, at=moment)
    session = sessions.begin(request, place, login, again=True, form=form)
    after = _after(session, next, form)
    return rendering.see_other("/staff" if after == "/me" and len(roles) > 1 else after)


def _after(session: PageSession, asked: str, form: str) -> str:
    """Return the page after a login: the form that waits, else the page that was asked for."""
    wanted = session.wanted(form)
    return f"{CONTINUE}?{sessions.FORM}={wanted.key}" if wanted and wanted.fields else rendering.local(asked)


@router.get(CONTINUE)
def resume(request: Request, place: CurrentContext, _login: LoggedIn, form: FormKey = "") -> Response:
    """Show the form that a person had filled in before they logged in again; they send it with one button.

    The form stays until it is sent: a page may be loaded again. `form` is its key; without it, it is the newest.
    """
    session = sessions.current(request, place)
    wanted = session.wanted(form) if session else None
    if not wanted or not wanted.fields:
        return rendering.see_other("/me")
    action = f"{wanted.path}?{sessions.FORM}={wanted.key}"
    return rendering.page(request, "continue.html", action=action, fields=wanted.fields)


@router.post("/logout")
def leave(request: Request, place: CurrentContext, csrf: Annotated[str, Form(max_length=100)] = "") -> Response:
    """Log out, here and at the provider: the session's cookie is worthless from now on, also a copy of it.

    Raises: ForgedForm. A browser without a login is logged out already: a form of an ended session is not an error.
    """
    if sessions.current(request, place):
        check_form(request, csrf)
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
    return rendering.see_other(next if next == codes.LOGIN_PAGE else rendering.local(next, otherwise="/"))
