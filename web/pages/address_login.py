"""`/login/address`: people without account prove an e-mail address or a phone number by a one-time code.

The answer is the same for every address. A worker finds out whether the address belongs to an account, and then nothing
is read: the person is informed to log in to the account (ADR 43).
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from portability.api import SubjectKind
from portability.delivery import codes, limits
from portability.errors import BadSubject
from portability.people import subjects
from portability.people.actor_names import ADDRESS_ISSUER
from web import rendering, sessions
from web.auth import OurForm
from web.context import AppContext, CurrentContext
from web.logins import Login

router = APIRouter(prefix=codes.LOGIN_PAGE, include_in_schema=False)
SENT = "address_code"
"""In the session: the id of the code that was sent for this browser."""


@router.get("")
def begin(request: Request, place: CurrentContext) -> Response:
    """Show the field for the address, or for the code that was sent to it."""
    _check_offered(place)
    is_sent = SENT in request.session
    return rendering.page(request, "address_login.html", is_sent=is_sent, code_seconds=codes.HOLDS_SECONDS)


@router.post("/send", dependencies=[OurForm])
def send(request: Request, place: CurrentContext, address: Annotated[str, Form(max_length=1000)]) -> Response:
    """Send a code to an address, whatever address it is."""
    _check_offered(place)
    place.limits.attempt(limits.ADDRESS, limits.network(rendering.address(request)))
    kind = SubjectKind.EMAIL if "@" in address else SubjectKind.PHONE
    try:
        _, normal, _ = subjects.parse(f"{kind}:{address}", None)
    except BadSubject:
        normal = ""
    if not normal or kind not in place.settings.address_kinds:
        rendering.alert(request, "address_invalid")
        return rendering.see_other(codes.LOGIN_PAGE)
    settings, language = place.settings, rendering.language(request)
    with place.writing() as connection:
        request.session[SENT] = codes.send_to_address(
            connection, settings.keys, kind, normal, language=language, per_hour=settings.address_codes_per_hour
        )
    return rendering.see_other(codes.LOGIN_PAGE)


@router.post("/check", dependencies=[OurForm])
def check(request: Request, place: CurrentContext, code: Annotated[str, Form(max_length=20)]) -> Response:
    """Log in the person who has entered the code."""
    counted = ("check", rendering.address(request))
    place.limits.check(limits.CODE, *counted)
    with place.writing() as connection:
        proved = codes.check_of_address(connection, place.settings.keys, request.session.get(SENT, ""), code)
        ref = subjects.pairwise_ref(connection, *proved, None) if proved else None
    if not proved:
        place.limits.attempt(limits.CODE, *counted)
        rendering.alert(request, "code_wrong")
        return rendering.see_other(codes.LOGIN_PAGE)
    kind, address = proved
    moment = int(time.time())
    login = Login(
        id=address,
        roles=("subject",),
        tenant=None,
        acr=None,
        amr=("otp",),
        auth_time=moment,
        at=moment,
        kind=kind,
        ref=ref,
        issuer=ADDRESS_ISSUER,
    )
    sessions.begin(request, place, login)
    return rendering.see_other("/me")


@router.post("/other", dependencies=[OurForm])
def use_other(request: Request) -> Response:
    """Go back to the field for the address."""
    request.session.pop(SENT, None)
    return rendering.see_other(codes.LOGIN_PAGE)


def _check_offered(place: AppContext) -> None:
    if not place.settings.address_kinds:
        raise HTTPException(404)
