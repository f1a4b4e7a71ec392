"""`/staff/new`: staff request the data of a person or company, who has called or written."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel

from portability.people import account_search
from portability.requests.policy import Action, ActorRole
from web import asking, rendering
from web.auth import LoggedIn, OurForm, may, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.pages.desk import Draft, check_desk
from web.pages.staff import Address, Long, Short

router = APIRouter(prefix="/staff", include_in_schema=False)
CHANNELS = ("email", "letter", "phone", "page")


class StaffRequestDraft(BaseModel):
    """The fields of the form for another person's or a company's data, whatever was entered."""

    csrf: str = ""
    kind: Draft = ""
    id: Draft = ""
    reason: Draft = ""
    tenant: Draft = ""
    profile: Draft = ""
    channel: Draft = ""
    received_at: Draft = ""
    tell_tenants: Draft = ""


class StaffRequestForm(BaseModel):
    """The same fields with what they may have."""

    csrf: str = ""
    kind: Short
    id: Short
    reason: Long = ""
    tenant: Short = ""
    profile: Short = "access"
    channel: Short = "email"
    received_at: Short = ""
    tell_tenants: Short = ""


@router.get("/new")
def new(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """Show the form for a new request."""
    check_desk(place, login)
    return _form(request, place, login)


@router.post("/new", dependencies=[OurForm])
def new_again(
    request: Request, place: CurrentContext, login: LoggedIn, asked: Annotated[StaffRequestDraft, Form()]
) -> Response:
    """Show the form as it had been filled in; nothing is requested."""
    check_desk(place, login)
    return _form(request, place, login, asked=asked)


@router.post("/look-up", dependencies=[OurForm])
def look_up(request: Request, place: CurrentContext, login: LoggedIn, address: Address = "") -> Response:
    """Show the form with the accounts that have proved an address. It is sent in a form: no URL has it."""
    actor = permit(place, login, Action.LIST_ALL)
    known = account_search.of_text(address.strip(), place.exporters)
    count = str(len(known.accounts) + known.left_out)
    place.observations.note("subject.looked_up", str(actor), None, found=count)
    return _form(request, place, login, address=address.strip(), known=known)


@router.post("/exports", dependencies=[OurForm])
def ask(
    request: Request, place: CurrentContext, login: LoggedIn, asked: Annotated[StaffRequestForm, Form()]
) -> Response:
    """Request the data of a person or company, with a reason. The archive goes to them."""
    wanted = asking.wanted(
        place,
        profile="switch" if asked.kind == "tenant" else asked.profile,
        subject=f"{asked.kind}:{asked.id}",
        tenant=(asked.tenant or None) if asked.kind == "contact" else None,
        reason=asked.reason.strip() or None,
        channel=asked.channel,
        received_at=asked.received_at or None,
        tell_tenants=bool(asked.tell_tenants),
    )
    identifier, is_new, _actor = asking.accept(place, login, wanted)
    rendering.flash(request, "done" if is_new else "asked_for_already")
    return rendering.see_other(f"/staff/exports/{identifier}")


def _form(
    request: Request,
    place: AppContext,
    login: Login,
    *,
    address: str = "",
    known: account_search.FoundAccounts | None = None,
    asked: StaffRequestDraft | None = None,
) -> Response:
    return rendering.page(
        request, "new.html", channels=CHANNELS, today=datetime.now(place.settings.place.zone).date(),
        tenant=_tenant(login), asked=asked or StaffRequestDraft(),
        address=address, known=known, looks_up=may(place, login, Action.LIST_ALL),
    )  # fmt: skip  # one call


def _tenant(login: Login) -> str:
    return (login.tenant or "") if ActorRole.TENANT_ADMIN in login.roles else ""
