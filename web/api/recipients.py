"""`/v1/recipients`: other providers that data may be sent to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from portability.law.countries import Mechanism
from portability.messages import recipient_notices
from portability.requests.policy import Action
from portability.safe_http import SafeHttpClient
from portability.transfers import recipient_lists, recipient_removal, recipients
from web import challenges
from web.answers import API_ANSWERS, problem_answers
from web.api import texts
from web.api.strict_bodies import Body, StrictRoute
from web.api.texts import Line, RecipientId, Word, enum_of
from web.api.transfer_answers import NewRecipientAnswer, NoticeList, RecipientAnswer, RecipientList
from web.auth import Caller, may, permit
from web.context import CurrentContext
from web.rendering import json_answer

router = APIRouter(prefix="/v1/recipients", route_class=StrictRoute, responses=API_ANSWERS, tags=["recipients"])
notices = APIRouter(prefix="/v1/notices", route_class=StrictRoute, responses=API_ANSWERS, tags=["recipients"])

CHANGED = problem_answers(409)


class RecipientBody(Body):
    """A recipient to record."""

    name: Line = Field(description="The name that people see")
    domain: texts.HostName = Field(description="The domain that transfers are addressed to", examples=["other.example"])
    country: texts.AnyCountry = Field(description="ISO 3166-1 alpha-2", examples=["ID"])
    mechanism: Annotated[Word, enum_of(Mechanism)] | None = Field(
        None, description="The ground for a transfer to its country; default: by the country"
    )
    safeguard: Line | None = Field(None, description="Reference of the contract or rules")
    age_key: texts.AgeKey = Field(description="Public key that the data is encrypted to: `age1...`")
    jwks_url: texts.Url = Field(description="Key set on its domain, which its receipts are verified with")
    webhook_url: texts.Url = Field(description="The address that is notified of transfers")
    datasets: Annotated[list[texts.DatasetName], Field(max_length=200), texts.documented(minItems=1)] | None = Field(
        None, description="Default: everything"
    )
    redirect_uris: Annotated[list[texts.Url], Field(max_length=recipients.REDIRECTS_MAX)] = Field(
        [], description="Where people return to after a consent that it asks for, on its domain: docs/pull.md"
    )


@router.get("", operation_id="list_recipients", response_model=RecipientList)
def list_recipients(
    place: CurrentContext,
    login: Caller,
    cursor: Annotated[texts.Cursor | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many")] = 200,
) -> Response:
    """List approved recipients, the oldest first; officers see all recipients."""
    approved_only = not may(place, login, Action.RECIPIENTS)
    with place.reading() as connection:
        rows, following = recipient_lists.oldest(connection, approved_only=approved_only, after=cursor, limit=limit)
    return json_answer({"recipients": [recipients.view(row) for row in rows], "next": following})


@router.post("", status_code=201, operation_id="create_recipient", responses=CHANGED, response_model=NewRecipientAnswer)
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
        row = recipients.get(connection, identifier)
    fault = challenges.fault_of(place, row, str(actor))
    with place.reading() as connection:
        seen = recipients.view(recipients.get(connection, identifier))
    return json_answer({**seen, "webhook_secret": secret, "proof_fault": fault}, 201)


@router.post(
    "/{recipient_id}/approve", operation_id="approve_recipient", responses=CHANGED, response_model=RecipientAnswer
)
def approve(place: CurrentContext, login: Caller, recipient_id: RecipientId) -> Response:
    """Approve a recipient that another officer has recorded."""
    actor = permit(place, login, Action.RECIPIENTS)
    challenges.before_approval(place, recipient_id, actor)
    with place.writing() as connection:
        recipients.approve(connection, recipient_id, actor=actor)
        return json_answer(recipients.view(recipients.get(connection, recipient_id)))


@router.post("/{recipient_id}/prove", operation_id="prove_recipient", responses=CHANGED, response_model=RecipientAnswer)
def prove(place: CurrentContext, login: Caller, recipient_id: RecipientId) -> Response:
    """Challenge a recipient to prove that its key, key set and webhook are its own."""
    actor = permit(place, login, Action.RECIPIENTS)
    with place.reading() as connection:
        row = recipients.get(connection, recipient_id)
    challenges.challenge(place, row, str(actor))
    with place.reading() as connection:
        return json_answer(recipients.view(recipients.get(connection, recipient_id)))


@notices.get("", operation_id="list_notices", response_model=NoticeList)
def list_notices(
    place: CurrentContext,
    login: Caller,
    recipient: Annotated[texts.RecipientName | None, Query()] = None,
    cursor: Annotated[texts.Cursor | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many")] = 200,
) -> Response:
    """List notices to recipients about changes after a transfer; of one, by id or domain, also if it was removed."""
    permit(place, login, Action.RECIPIENTS)
    with place.reading() as connection:
        ids = recipients.ids_of(connection, recipient) if recipient else None
        rows, following = recipient_lists.notices(connection, recipient_ids=ids, after=cursor, limit=limit)
    return json_answer({"notices": [recipient_notices.view(row) for row in rows], "next": following})


@router.delete("/{recipient_id}", status_code=204, operation_id="remove_recipient")
def remove(place: CurrentContext, login: Caller, recipient_id: RecipientId) -> Response:
    """Remove a recipient; its transfers, its feeds and the consents to it end at once."""
    actor = permit(place, login, Action.RECIPIENTS)
    with place.writing() as connection:
        recipient_removal.remove(connection, recipient_id, actor=str(actor))
    return Response(status_code=204)
