"""`/staff/referrals`: a tenant's administrator answers requests for data that the tenant decides over."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection, RowMapping

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database import deployment
from portability.requests import referrals, retries
from portability.requests.policy import Action, Actor, Facts
from portability.requests.referrals import RefusalReason, UnknownReferral
from web import rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext
from web.logins import Login

router = APIRouter(prefix="/staff/referrals", include_in_schema=False)
Cursor = Annotated[str, Query(max_length=200)]
Code = Annotated[str, Form(max_length=20)]


@router.get("")
def listed(request: Request, place: CurrentContext, login: LoggedIn, cursor: Cursor = "") -> Response:
    """Show the referrals of which the tenant is informed, page by page; those without answer come first."""
    tenant = login.tenant or ""
    permit(place, login, Action.INSTRUCT, Facts(SubjectKind.TENANT, tenant, tenant))
    with place.reading() as connection:
        found, following = referrals.page(connection, tenant, after=cursor or None)
        at = deployment.clock_of(connection)
    rows = [{**row, "alarm": referrals.alarm(row, at)} for row in found]
    return rendering.page(request, "referrals.html", rows=rows, following=following, reasons=list(RefusalReason))


@router.post("/{referral_id}/{what}", dependencies=[OurForm])
def answer(
    request: Request, place: CurrentContext, login: LoggedIn, referral_id: str, what: str, reason: Code = ""
) -> Response:
    """Order the export of what the tenant decides over, or refuse with a reason."""
    with place.writing() as connection:
        row, actor = _own(place, login, connection, referral_id)
        match what:
            case "instruct":
                referrals.instruct(connection, row["id"], actor=str(actor))
            case "refuse":
                referrals.refuse(connection, row["id"], reason=reason, actor=str(actor))
            case _:
                raise BadInput(f"unknown action {what!r}: use instruct or refuse")
        retries.apply_answers(connection, row["export_id"], actor=str(actor))
    place.wake(row["export_id"])
    rendering.flash(request, "done")
    return rendering.see_other("/staff/referrals")


def _own(place: AppContext, login: Login, connection: Connection, referral_id: str) -> tuple[RowMapping, Actor]:
    """Return a referral of the login's tenant, and the actor. Raises UnknownReferral, also for another tenant's."""
    row = referrals.get(connection, referral_id)
    if row["tenant"] != login.tenant or row["ground"] is None:
        raise UnknownReferral(f"no referral has the id {referral_id!r}")
    return row, permit(place, login, Action.INSTRUCT, Facts(SubjectKind.TENANT, row["tenant"], row["tenant"]))
