"""`/staff/recipients`: other providers, which an officer records and another officer approves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from portability.api.errors import BadInput
from portability.law.countries import COUNTRIES, Mechanism
from portability.locale import values
from portability.requests.policy import Action
from portability.safe_http import SafeHttpClient
from portability.transfers import recipients
from web import challenges, rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext

router = APIRouter(prefix="/staff/recipients", include_in_schema=False)
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Address = Annotated[str, Field(max_length=2000, pattern=r"^[!-~]*$")]


class RecipientForm(BaseModel):
    """The fields of the form for a recipient."""

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
    redirect_uris: Address = ""


@router.get("")
def listed(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """Show all recipients with their fingerprints, and a form for another."""
    permit(place, login, Action.RECIPIENTS)
    return _page(request, place)


@router.post("", dependencies=[OurForm])
def record(
    request: Request, place: CurrentContext, login: LoggedIn, recorded: Annotated[RecipientForm, Form()]
) -> Response:
    """Record a recipient. Only this answer shows its webhook secret."""
    actor = permit(place, login, Action.RECIPIENTS)
    settings = place.settings
    fields = recorded.model_dump(exclude={"csrf", "mechanism", "safeguard", "datasets", "redirect_uris"})
    entry = recipients.checked(
        SafeHttpClient.of(settings),
        settings.country,
        **fields,
        mechanism=recorded.mechanism or None,
        safeguard=recorded.safeguard or None,
        datasets=recorded.datasets.split(",") if recorded.datasets.strip() else None,
        redirect_uris=recorded.redirect_uris.split(",") if recorded.redirect_uris else (),
        exporters=place.exporters,
    )
    with place.writing() as connection:
        identifier, secret = recipients.add(
            connection, settings.keys, entry, actor=actor, approved=not settings.needs_approvals
        )
        row = recipients.get(connection, identifier)
    challenges.fault_of(place, row, str(actor))
    return _page(request, place, secret=secret)


@router.post("/{recipient_id}/{what}", dependencies=[OurForm])
def decide(request: Request, place: CurrentContext, login: LoggedIn, recipient_id: str, what: str) -> Response:
    """Approve a recipient that another officer has recorded, ask it for proof of its keys, or remove it."""
    actor = permit(place, login, Action.RECIPIENTS)
    if what == "prove":
        with place.reading() as connection:
            row = recipients.get(connection, recipient_id)
        challenges.challenge(place, row, str(actor))
        rendering.flash(request, "done")
        return rendering.see_other("/staff/recipients")
    if what == "approve":
        challenges.before_approval(place, recipient_id, actor)
    with place.writing() as connection:
        match what:
            case "approve":
                recipients.approve(connection, recipient_id, actor=actor)
            case "remove":
                recipients.remove(connection, recipient_id, actor=str(actor))
            case _:
                raise BadInput(f"unknown action {what!r}: use approve, prove or remove")
    rendering.flash(request, "done")
    return rendering.see_other("/staff/recipients")


def _page(request: Request, place: AppContext, *, secret: str | None = None) -> Response:
    with place.reading() as connection:
        found = recipients.rows(connection)
    rows = [{**recipients.view(row), "proven_at": row["proven_at"]} for row in found]
    countries = values.countries(rendering.language(request), COUNTRIES)
    return rendering.page(
        request, "recipients.html", rows=rows, secret=secret, mechanisms=[*Mechanism], countries=countries
    )
