"""`/v1/inbox`: webhooks of other providers, and what officers do with the transfers that they have sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import Connection, RowMapping
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from portability.delivery import limits
from portability.inbox import decisions, differences, offers, received
from portability.inbox.decisions import ConflictRule
from portability.inbox.states import DeclineReason
from portability.requests.policy import Action, Actor
from web import rendering
from web.answers import API_ANSWERS, problem_answers
from web.api import texts
from web.api.inbox_answers import COMPARISON, DatasetPath, DifferenceAnswer, ReceivedAnswer, ReceivedList
from web.api.strict_bodies import Body, StrictRoute
from web.api.texts import ReceivedId, Word, enum_of
from web.auth import Caller, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.rendering import json_answer

router = APIRouter(prefix="/v1/inbox", route_class=StrictRoute, responses=API_ANSWERS, tags=["inbox"])
receiving = APIRouter(prefix="/v1")

CHANGED = problem_answers(409)
JOSE = "application/jose"
OFFER_BYTES = 16 * 1024
ACCEPTED = 202
NUMBER_MAX = 2**31 - 1


class TargetBody(Body):
    """Whose data a received transfer is here."""

    subject: texts.Subject = Field(description="`user:ID`, `contact:ID`, `tenant:ID` or `email:ADDRESS`, by local ids")
    tenant: texts.TenantId | None = Field(None, description="The contact's tenant")
    company: texts.TenantId | None = Field(
        None, description="The company that rows of an account's archive belong to; without it they are quarantined"
    )
    on_conflict: Annotated[Word, enum_of(ConflictRule)] = Field(
        ConflictRule.KEEP, description="What becomes of values that were changed on both sides"
    )


class ImportBody(Body):
    """The difference that the officer has looked at."""

    comparison: Annotated[Word, texts.documented(pattern=COMPARISON)] = Field(
        description="`comparison` of the transfer"
    )


class DeclineBody(Body):
    """Why a received transfer is refused."""

    reason: Annotated[Word, enum_of(DeclineReason)] = Field(description="The sender's receipt contains it")


# Standard Webhooks and docs/receiving.md describe it: a client of the API does not call it.
@receiving.post("/inbox", include_in_schema=False)
async def receive_webhook(request: Request, place: CurrentContext) -> Response:
    """Take a webhook of a recorded sender (Standard Webhooks): an offer, a challenge or a notice."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415)
    body = await request.body()
    if len(body) > OFFER_BYTES:
        raise HTTPException(413)
    return await run_in_threadpool(_take, place, rendering.address(request), dict(request.headers), body)


@router.get("", operation_id="list_received", response_model=ReceivedList)
def list_received(
    place: CurrentContext,
    login: Caller,
    cursor: Annotated[texts.Cursor | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many")] = 200,
) -> Response:
    """List received transfers, the newest first; those that await a decision come before the others."""
    permit(place, login, Action.INBOX)
    with place.reading() as connection:
        rows, following = received.page(connection, after=cursor, limit=limit)
    return json_answer({"received": [received.view(row) for row in rows], "next": following})


@router.get("/{received_id}", operation_id="show_received", response_model=ReceivedAnswer)
def show(place: CurrentContext, login: Caller, received_id: ReceivedId) -> Response:
    """Show a received transfer."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, received_id)
    return json_answer(received.view(row))


@router.get("/{received_id}/differences", operation_id="list_differences", response_model=DifferenceAnswer)
def list_differences(
    place: CurrentContext,
    login: Caller,
    received_id: ReceivedId,
    dataset: Annotated[DatasetPath | None, Query()] = None,
    after: Annotated[int, Query(ge=0, le=NUMBER_MAX)] = 0,
) -> Response:
    """List what an import would change, by record and field."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, received_id)
        shown, following = differences.page(connection, place.settings.keys, row["id"], dataset=dataset, after=after)
    return json_answer({"differences": shown, "after": following})


@router.post("/{received_id}/target", operation_id="assign_received", responses=CHANGED, response_model=ReceivedAnswer)
def assign(place: CurrentContext, login: Caller, received_id: ReceivedId, chosen: TargetBody) -> Response:
    """Say whose data it is here; the difference is then computed."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, received_id)
        permit(place, login, Action.INBOX, decisions.facts_of(chosen.subject, chosen.tenant))
        decisions.assign(connection, row["id"], **chosen.model_dump(), actor=str(actor))
        return json_answer(received.view(received.get(connection, row["id"])))


@router.post("/{received_id}/import", operation_id="import_received", responses=CHANGED, response_model=ReceivedAnswer)
def import_(place: CurrentContext, login: Caller, received_id: ReceivedId, seen: ImportBody) -> Response:
    """Import it, as its difference was shown."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, received_id)
        decisions.accept(connection, row["id"], comparison=seen.comparison, actor=str(actor))
        return json_answer(received.view(received.get(connection, row["id"])))


@router.post("/{received_id}/refuse", operation_id="refuse_received", responses=CHANGED, response_model=ReceivedAnswer)
def refuse(place: CurrentContext, login: Caller, received_id: ReceivedId, said: DeclineBody) -> Response:
    """Refuse it; its files are deleted, and the sender gets a receipt with the reason."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, received_id)
        decisions.decline(connection, row["id"], reason=said.reason, actor=str(actor))
        return json_answer(received.view(received.get(connection, row["id"])))


@router.post("/{received_id}/undo", operation_id="undo_received", responses=CHANGED, response_model=ReceivedAnswer)
def undo(place: CurrentContext, login: Caller, received_id: ReceivedId) -> Response:
    """Undo the import."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, received_id)
        decisions.undo(connection, row["id"], actor=str(actor))
        return json_answer(received.view(received.get(connection, row["id"])))


def found(place: AppContext, login: Login, connection: Connection, received_id: str) -> tuple[RowMapping, Actor]:
    """Return a received transfer and the officer that acts on it.

    The role is checked first, so that other people do not learn whether it exists.

    Raises: NotAllowed, StepUpRequired, UnknownReceived.
    """
    permit(place, login, Action.INBOX)
    row = received.get(connection, received_id)
    return row, permit(place, login, Action.INBOX, received.facts_of(row))


def _take(place: AppContext, address: str, headers: Mapping[str, str], body: bytes) -> Response:
    place.limits.attempt(limits.INBOX, address)
    if place.answers is None:
        raise offers.NoInbox("this service receives no transfers")
    settings = place.settings
    with place.reading() as connection:
        webhook = offers.verified(connection, settings.keys, headers, body)
    if webhook.type == offers.CHALLENGE:
        return Response(place.answers.to_challenge(body), media_type=JOSE)
    if webhook.type == offers.OFFERED:
        with place.writing() as connection:
            offers.store(connection, settings, webhook)
        return Response(status_code=ACCEPTED)
    # Signed before it is recorded: what this side cannot acknowledge, the sender sends again.
    token = place.answers.to_notice(body)
    with place.writing() as connection:
        offers.note(connection, webhook)
    return Response(token, media_type=JOSE)
