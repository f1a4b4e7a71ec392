"""`/me/pulls`: a person sees what another provider asks for, narrows it, and allows or declines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from portability.delivery import limits
from portability.pulls import pushed_requests
from portability.pulls.refusals import OAuthFault
from portability.requests.policy import Action, Facts
from web import rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.oauth_server import AUTHORIZE, issuer

router = APIRouter(include_in_schema=False)
ASKED = frozenset({"client_id", "request_uri"})
ALLOW = "allow"


class MyConsentForm(BaseModel):
    """The fields of the person's answer."""

    csrf: str = ""
    answer: Annotated[str, Field(max_length=20)]
    datasets: Annotated[list[str], Field(max_length=200)] = []


@router.get(AUTHORIZE)
def authorize(request: Request, place: CurrentContext, client_id: str = "", request_uri: str = "") -> Response:
    """Lead a person from a provider to its pushed request (RFC 9126, 4). All else was pushed, and nothing comes here.

    Raises: PullRefused (`invalid_request_uri`).
    """
    place.limits.attempt(limits.PULL, "page", rendering.address(request))
    handle = request_uri.removeprefix(pushed_requests.URN)
    with place.reading() as connection:
        row = pushed_requests.pending(connection, handle, client_id)
    if request.query_params.keys() - ASKED or len(request.query_params.multi_items()) != len(ASKED):
        recipient = f"recipient:{row['recipient_id']}"
        place.observations.note("pull.refused", recipient, error=OAuthFault.INVALID_REQUEST, at=AUTHORIZE)
        return RedirectResponse(_answer(place, row, error=OAuthFault.INVALID_REQUEST), 303)
    return rendering.see_other(f"/me/pulls/{handle}")


@router.get("/me/pulls/{handle}")
def show(request: Request, place: CurrentContext, login: LoggedIn, handle: str) -> Response:
    """Show who asks, for what, and until when."""
    with place.reading() as connection:
        row = pushed_requests.pending(connection, handle)
    return _page(request, place, login, row, handle)


@router.post("/me/pulls/{handle}", dependencies=[OurForm])
def decide(
    request: Request, place: CurrentContext, login: LoggedIn, handle: str, sent: Annotated[MyConsentForm, Form()]
) -> Response:
    """Record the person's answer, and lead them back to the provider with it."""
    with place.reading() as connection:
        row = pushed_requests.pending(connection, handle)
    if sent.answer != ALLOW:
        with place.writing() as connection:
            pushed_requests.decline(connection, row, actor=str(next(login.actors())))
        return _back(request, row, _answer(place, row, error=OAuthFault.ACCESS_DENIED))
    if not sent.datasets:
        rendering.alert(request, "pull_choose")
        return rendering.see_other(f"/me/pulls/{handle}")
    actor = permit(place, login, Action.AUTHORISE, Facts(login.kind, login.id, None))
    datasets = sorted(set(sent.datasets))
    with place.writing() as connection:
        code = pushed_requests.allow(
            connection, row, subject=login.subject, datasets=datasets, actor=actor, exporters=place.exporters
        )
    return _back(request, row, _answer(place, row, code=code))


def _page(request: Request, place: AppContext, login: Login, row: Mapping[Any, Any], handle: str) -> Response:
    offered = place.offered(login.kind)
    parts = [name for name in row["datasets"] if name in offered]
    return rendering.page(request, "pull.html", asked=row, parts_asked=parts, handle=handle)


def _answer(place: AppContext, row: Mapping[Any, Any], **answer: str) -> str:
    return pushed_requests.answer_uri(row, issuer(place), **answer)


def _back(request: Request, row: Mapping[Any, Any], url: str) -> Response:
    """Lead back by a page: browsers refuse a redirect from a form to another site (form-action of the policy)."""
    host = urlsplit(row["redirect_uri"]).hostname
    headers = {"Refresh": f"0; url={url}"}
    return rendering.page(request, "pull_back.html", headers=headers, url=url, name=row["name"], host=host)
