"""`/staff/recipients`: other providers, recorded by one officer and approved by another."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from portability import recipients
from portability.abroad import Mechanism
from portability.errors import BadInput
from portability.outside import Outside
from portability.policy import Action
from web import pages
from web.auth import LoggedIn, OurForm, permit
from web.place import Here, Place

router = APIRouter(prefix="/staff/recipients", include_in_schema=False)
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Address = Annotated[str, Field(max_length=2000, pattern=r"^[!-~]*$")]


class Recorded(BaseModel):
    """The form for a recipient."""

    csrf: str = ""
    name: Line
    domain: Line
    country: Line
    mechanism: Line = ""
    safeguard: Line = ""
    age_key: Line
    jwks_url: Address
    webhook_url: Address
    datasets: Line = ""


@router.get("")
def listed(request: Request, place: Here, login: LoggedIn) -> Response:
    """All recipients with their fingerprints, and a form for another."""
    permit(place, login, Action.RECIPIENTS)
    return _page(request, place)


@router.post("", dependencies=[OurForm])
def record(request: Request, place: Here, login: LoggedIn, recorded: Annotated[Recorded, Form()]) -> Response:
    """Record one. The answer shows its webhook secret, this once."""
    actor = permit(place, login, Action.RECIPIENTS)
    settings = place.settings
    told = recorded.model_dump(exclude={"csrf", "mechanism", "safeguard", "datasets"})
    entry = recipients.checked(
        Outside.of(settings),
        settings.country,
        **told,
        mechanism=recorded.mechanism or None,
        safeguard=recorded.safeguard or None,
        datasets=recorded.datasets.split(",") if recorded.datasets.strip() else None,
    )
    with place.writing() as connection:
        _id, secret = recipients.add(
            connection, settings.keys, entry, actor=str(actor), approved=not settings.needs_approvals
        )
    return _page(request, place, secret=secret)


@router.post("/{recipient_id}/{what}", dependencies=[OurForm])
def decide(request: Request, place: Here, login: LoggedIn, recipient_id: str, what: str) -> Response:
    """Approve one that somebody else has recorded, or remove it."""
    actor = permit(place, login, Action.RECIPIENTS)
    with place.writing() as connection:
        match what:
            case "approve":
                recipients.approve(connection, recipient_id, actor=actor)
            case "remove":
                recipients.remove(connection, recipient_id, actor=str(actor))
            case _:
                raise BadInput("there is no such action")
    pages.flash(request, "done")
    return pages.see_other("/staff/recipients")


def _page(request: Request, place: Place, *, secret: str | None = None) -> Response:
    with place.reading() as connection:
        rows = [recipients.view(row) for row in recipients.rows(connection)]
    return pages.page(request, "recipients.html", rows=rows, secret=secret, mechanisms=[*Mechanism])
