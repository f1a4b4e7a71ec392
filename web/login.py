"""Logging in and out, choosing a language: OpenID Connect, or the development login of the embedded stack."""

from __future__ import annotations

import hmac
import time
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from portability import limits
from portability.policy import ROLES
from web import pages, words
from web.auth import Login, OurForm, from_claims, remember
from web.place import Here
from web.provider import LoginFailed

router = APIRouter(include_in_schema=False)

PENDING = "pending"
PENDING_SECONDS = 600
PLAYED_ROLES = tuple(role for role in ROLES if role not in {"operator", "recipient"})
Name = Annotated[str, Form(max_length=100, pattern=r"^[A-Za-z0-9._@~-]+$")]
Next = Annotated[str, Query(max_length=pages.LOCAL_LENGTH)]


@router.get("/")
def home(request: Request) -> Response:
    """The front door."""
    return pages.page(request, "home.html")


@router.get("/login")
def begin(request: Request, place: Here, next: Next = "/me", again: str = "") -> Response:  # noqa: A002  # the parameter's public name
    """To the provider, or to the playground's own form. `again`: a strong and fresh login is wanted."""
    if place.provider is None:
        playing = place.settings.development_login
        return pages.page(request, "login.html", development=playing, roles=PLAYED_ROLES, next=pages.local(next))
    attempt = place.provider.begin(step_up=bool(again))
    kept = {"state": attempt.state, "nonce": attempt.nonce, "verifier": attempt.verifier}
    request.session[PENDING] = {**kept, "next": pages.local(next), "at": int(time.time())}
    return RedirectResponse(attempt.url, 303)


@router.get("/login/callback")
def finish(
    request: Request, place: Here, code: Annotated[str, Query(max_length=4096)] = "", state: str = ""
) -> Response:
    """Back from the provider. The answer is of this browser's own attempt, or it is none (RFC 6749, 10.12)."""
    place.limits.attempt(limits.LOGIN, pages.address(request))
    pending = request.session.pop(PENDING, None)
    if place.provider is None or pending is None or not code:
        raise LoginFailed("no login was begun here")
    if not hmac.compare_digest(str(pending["state"]).encode(), state.encode()):
        raise LoginFailed("the answer is of another login")
    if not 0 <= time.time() - pending["at"] <= PENDING_SECONDS:
        raise LoginFailed("the login took too long")
    claims = place.provider.finish(code, nonce=pending["nonce"], verifier=pending["verifier"])
    remember(request, from_claims(place.settings, claims))
    return pages.see_other(pages.local(pending["next"]))


@router.post("/login/development", dependencies=[OurForm])
def play(
    request: Request,
    place: Here,
    role: Annotated[str, Form(max_length=20)],
    id: Name,  # noqa: A002  # the field's name
    tenant: Annotated[str, Form(max_length=100, pattern=r"^[A-Za-z0-9._~-]*$")] = "",
    weak: Annotated[str, Form(max_length=1)] = "",
    next: Annotated[str, Form(max_length=pages.LOCAL_LENGTH)] = "/me",  # noqa: A002  # as above
) -> Response:
    """Be anybody, on this machine alone: the settings refuse it beside a public BASE_URL."""
    place.limits.attempt(limits.LOGIN, pages.address(request))
    if not place.settings.development_login or role not in PLAYED_ROLES:
        raise HTTPException(404)
    roles = ("subject",) if role == "subject" else ("subject", role)
    moment = int(time.time())
    strong = () if weak else tuple(place.settings.strong_acr)
    remember(request, Login(id, roles, tenant or None, acr=None, amr=strong, auth_time=moment, at=moment))
    after = pages.local(next)
    return pages.see_other("/staff" if after == "/me" and len(roles) > 1 else after)


@router.post("/logout", dependencies=[OurForm])
def leave(request: Request) -> Response:
    """Forget who this is."""
    request.session.clear()
    return pages.see_other("/")


@router.post("/language", dependencies=[OurForm])
def speak(
    request: Request,
    language: Annotated[str, Form(max_length=2)],
    next: Annotated[str, Form(max_length=pages.LOCAL_LENGTH)] = "/",  # noqa: A002  # as above
) -> Response:
    """Speak English or Indonesian from now on."""
    if language in words.LANGUAGES:
        request.session["language"] = language
    return pages.see_other("/" if next in {"/", "/login"} else pages.local(next))
