"""`/v1/recipients`: other providers that data may be sent to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from portability.requests.policy import Action
from portability.safe_http import SafeHttpClient
from portability.transfers import recipients
from web.answers import API_ANSWERS, problem_answers
from web.api.strict_bodies import Body, StrictRoute
from web.auth import Caller, may, permit
from web.context import CurrentContext
from web.rendering import json_answer

router = APIRouter(prefix="/v1/recipients", route_class=StrictRoute, responses=API_ANSWERS, tags=["recipients"])

Word = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[!-~]+$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[!-~]+$")]
RecipientId = Annotated[str, Field(max_length=32, pattern=r"^rcp_[0-9a-f]{20}$", description="The recipient's id")]


class RecipientBody(Body):
    """A recipient to record."""

    name: Line = Field(description="The name that people see")
    domain: Word = Field(description="The domain that transfers are addressed to", examples=["other.example"])
    country: Word = Field(description="ISO 3166-1 alpha-2", examples=["ID"])
    mechanism: Word | None = Field(None, description="`adequacy`, `scc`, `binding_rules`, `consent` or `none`")
    safeguard: Line | None = Field(None, description="Reference of the contract or rules")
    age_key: Word = Field(description="Public key that the data is encrypted to: `age1...`")
    jwks_url: Address = Field(description="Key set on its domain, which its receipts are verified with")
    webhook_url: Address = Field(description="The address that is notified of transfers")
    datasets: Annotated[list[Word], Field(max_length=200)] | None = Field(None, description="Default: everything")


@router.get("", response_model=None)
def list_recipients(place: CurrentContext, login: Caller) -> Response:
    """List approved recipients; officers see all recipients."""
    with place.reading() as connection:
        rows = recipients.rows(connection, approved_only=not may(place, login, Action.RECIPIENTS))
    return json_answer({"recipients": [recipients.view(row) for row in rows]})


@router.post("", status_code=201, responses=problem_answers(409), response_model=None)
def record(place: CurrentContext, login: Caller, recorded: RecipientBody) -> Response:
    """Record a recipient; another officer approves it. Only this answer contains its webhook secret."""
    actor = permit(place, login, Action.RECIPIENTS)
    settings = place.settings
    entry = recipients.checked(
        SafeHttpClient.of(settings), settings.country, **recorded.model_dump(), exporters=place.exporters
    )
    with place.writing() as connection:
        identifier, secret = recipients.add(
            connection, settings.keys, entry, actor=actor, approved=not settings.needs_approvals
        )
        seen = recipients.view(recipients.get(connection, identifier))
    return json_answer({**seen, "webhook_secret": secret}, 201)


@router.post("/{recipient_id}/approve", responses=problem_answers(409), response_model=None)
def approve(place: CurrentContext, login: Caller, recipient_id: RecipientId) -> Response:
    """Approve a recipient that another officer has recorded."""
    actor = permit(place, login, Action.RECIPIENTS)
    with place.writing() as connection:
        recipients.approve(connection, recipient_id, actor=actor)
        return json_answer(recipients.view(recipients.get(connection, recipient_id)))


@router.delete("/{recipient_id}", status_code=204)
def remove(place: CurrentContext, login: Caller, recipient_id: RecipientId) -> Response:
    """Remove a recipient; transfers to it end at once."""
    actor = permit(place, login, Action.RECIPIENTS)
    with place.writing() as connection:
        recipients.remove(connection, recipient_id, actor=str(actor))
    return Response(status_code=204)
