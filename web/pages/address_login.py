"""`/login/address`: people without account prove an e-mail address or a phone number by a one-time code.

The answer is the same for every address. A worker finds out whether the address belongs to an account, and then nothing
is read: the person is informed to log in to the account (ADR 43).
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated, Any

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
Draft = Annotated[str, Form(max_length=10_000)]


@router.get("")
def begin(request: Request, place: CurrentContext) -> Response:
    """Show the field for the address, or for the code that was sent to it."""
    _check_offered(place)
    return _shown(request, is_sent=SENT in request.session)


@router.post("", dependencies=[OurForm])
def begin_again(request: Request, place: CurrentContext, address: Draft = "") -> Response:
    """Show the field with what was entered; nothing is sent."""
    _check_offered(place)
    return _shown(request, address=address)


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
        # Not a redirect: neither the cookie nor an address of a page may have what was entered.
        rendering.alert(request, "address_invalid")
        return _shown(request, address=address, status=HTTPStatus.BAD_REQUEST)
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


def _shown(request: Request, *, is_sent: bool = False, address: str = "", status: int = HTTPStatus.OK) -> Response:
    shown: dict[str, Any] = {"is_sent": is_sent, "address": address, "code_seconds": codes.HOLDS_SECONDS}
    return rendering.page(request, "address_login.html", status=status, **shown)


def _check_offered(place: AppContext) -> None:
    if not place.settings.address_kinds:
        raise HTTPException(404)
