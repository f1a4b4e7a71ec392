"""The HTTP API of transfers: start, show, withdraw; authorisations; the recipient's receipt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import Connection, RowMapping
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from portability.delivery import limits
from portability.errors import UnknownExport
from portability.people import subjects
from portability.requests import exports
from portability.requests.dates import end_of_day
from portability.requests.policy import Action, Actor, Facts
from portability.safe_http import SafeHttpClient
from portability.transfers import authorisations, proofs, receipts, recipients, sending
from portability.transfers.sending import UnknownTransfer
from web.answers import API_ANSWERS, problem_answers
from web.api import texts
from web.api.strict_bodies import Body, StrictRoute
from web.api.texts import ExportId, GivenId, Line, RecipientId, TransferId
from web.api.transfer_answers import AuthorisationAnswer, AuthorisationList, TransferAnswer, TransferList
from web.auth import Caller, may, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.rendering import address, json_answer
from web.scopes import own_scope
from web.visibility import facts_of, found, own_authorisation

router = APIRouter(prefix="/v1", route_class=StrictRoute, responses=API_ANSWERS, tags=["transfers"])
receiving = APIRouter(prefix="/v1", responses={**API_ANSWERS, **problem_answers(409)})

JOSE = "application/jose"
RECEIPT_BYTES = 16 * 1024
RECEIPT = {"type": "string", "format": "binary", "maxLength": RECEIPT_BYTES}
"""Bytes, so that generated clients send it as it is: it is neither JSON nor a form."""


class TransferBody(Body):
    """The recipient of an export."""

    recipient: texts.RecipientName = Field(description="Id or domain of a recipient")


class AuthorisationBody(Body):
    """What may be sent, to which recipient, and until when."""

    subject: texts.Subject = Field(
        description="`user:ID`, `contact:ID`, `tenant:ID`, `email:ADDRESS` or `phone:NUMBER`",
        examples=["user:usr_000001"],
    )
    tenant: texts.TenantId | None = Field(None, description="The contact's tenant")
    recipient: texts.RecipientName = Field(description="Id or domain of a recipient")
    datasets: Annotated[list[texts.DatasetName], Field(min_length=1, max_length=200)] = Field(
        description="Exporters, or single datasets: `calls`, `chats/messages`"
    )
    until: texts.Time | None = Field(
        None, description="RFC 3339 time; without it the authorisation is for one transfer"
    )
    evidence: Line | None = Field(None, description="Where the consent is kept, if the caller is not the subject")


class CountersignatureBody(Body):
    """The signed consent that a second person has seen."""

    document: Line = Field(description="Where the signed consent is stored")


@router.post(
    "/exports/{export_id}/transfers",
    status_code=201,
    operation_id="create_transfer",
    responses=problem_answers(409),
    response_model=TransferAnswer,
)
def send(place: CurrentContext, login: Caller, export_id: ExportId, sent: TransferBody) -> Response:
    """Send a finished export to a recipient that its subject has authorised."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEND)
        transfer_id = sending.start(connection, place.settings, row["id"], sent.recipient, actor=actor)
        seen = sending.view(connection, sending.get(connection, transfer_id))
    place.wake(export_id)
    return json_answer(seen, 201, headers={"Location": f"/v1/transfers/{transfer_id}"})


@router.get("/exports/{export_id}/transfers", operation_id="list_transfers", response_model=TransferList)
def list_transfers(place: CurrentContext, login: Caller, export_id: ExportId) -> Response:
    """List the transfers of an export, with their timelines."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEND)
        seen = [sending.view(connection, each) for each in sending.of(connection, row["id"])]
    return json_answer({"transfers": seen})


@router.get("/transfers/{transfer_id}", operation_id="show_transfer", response_model=TransferAnswer)
def show(place: CurrentContext, login: Caller, transfer_id: TransferId) -> Response:
    """Show a transfer."""
    with place.reading() as connection:
        row, _actor = _sent(place, login, connection, transfer_id)
        return json_answer(sending.view(connection, row))


@router.delete(
    "/transfers/{transfer_id}", status_code=204, operation_id="revoke_transfer", responses=problem_answers(409)
)
def take_back(place: CurrentContext, login: Caller, transfer_id: TransferId) -> Response:
    """Withdraw a transfer at once, also while it is being downloaded."""
    with place.writing() as connection:
        row, actor = _sent(place, login, connection, transfer_id)
        sending.revoke(connection, row["id"], actor=str(actor))
    return Response(status_code=204)


@router.post(
    "/authorisations",
    status_code=201,
    operation_id="create_authorisation",
    responses=problem_answers(409),
    response_model=AuthorisationAnswer,
)
def authorise(place: CurrentContext, login: Caller, given: AuthorisationBody) -> Response:
    """Authorise transfers to a recipient, once or until a time."""
    kind, identifier, tenant = subjects.parse(given.subject, given.tenant)
    actor = permit(place, login, Action.AUTHORISE, Facts(kind, identifier, tenant))
    values = given.model_dump() | {"until": end_of_day(given.until, "`until`", place.settings.place)}
    with place.writing() as connection:
        authorisation_id = authorisations.give(
            connection,
            **values,
            actor=actor,
            exporters=place.exporters,
            needs_confirmation=place.settings.needs_approvals,
        )
        row = authorisations.shown(connection, authorisation_id)
    return json_answer(authorisations.view(row), 201)


@router.post(
    "/authorisations/{authorisation_id}/confirm",
    operation_id="confirm_authorisation",
    responses=problem_answers(409),
    response_model=AuthorisationAnswer,
)
def confirm(place: CurrentContext, login: Caller, authorisation_id: GivenId) -> Response:
    """Confirm, as the subject, an authorisation that another person has recorded."""
    with place.writing() as connection:
        actor = own_authorisation(place, login, connection, authorisation_id)
        authorisations.confirm(connection, authorisation_id, actor=actor)
        row = authorisations.shown(connection, authorisation_id)
    return json_answer(authorisations.view(row))


@router.post(
    "/authorisations/{authorisation_id}/countersign",
    operation_id="countersign_authorisation",
    responses=problem_answers(409),
    response_model=AuthorisationAnswer,
)
def countersign(
    place: CurrentContext, login: Caller, authorisation_id: GivenId, seen: CountersignatureBody
) -> Response:
    """Record, as a second person, that the subject's signed consent was seen; active a day after the notice."""
    with place.writing() as connection:
        actor = own_authorisation(place, login, connection, authorisation_id, Action.COUNTERSIGN)
        authorisations.countersign(connection, authorisation_id, document=seen.document, actor=actor)
        row = authorisations.shown(connection, authorisation_id)
    return json_answer(authorisations.view(row))


@router.get("/authorisations", operation_id="list_authorisations", response_model=AuthorisationList)
def list_authorisations(place: CurrentContext, login: Caller) -> Response:
    """List the caller's authorisations; officers see all."""
    with place.reading() as connection:
        scope = None if may(place, login, Action.RECIPIENTS) else own_scope(connection, login).subject_ref
        rows = authorisations.of(connection, scope)
    return json_answer({"authorisations": [authorisations.view(row) for row in rows]})


@router.delete("/authorisations/{authorisation_id}", status_code=204, operation_id="revoke_authorisation")
def withdraw(place: CurrentContext, login: Caller, authorisation_id: GivenId) -> Response:
    """Withdraw an authorisation: its transfers stop at once."""
    with place.writing() as connection:
        actor = own_authorisation(place, login, connection, authorisation_id)
        authorisations.revoke(connection, authorisation_id, actor=str(actor))
    return Response(status_code=204)


@receiving.post(
    "/transfers/{transfer_id}/receipt",
    status_code=204,
    operation_id="send_receipt",
    tags=["transfers"],
    openapi_extra={"requestBody": {"content": {JOSE: {"schema": RECEIPT}}, "required": True}},
)
async def receipt(request: Request, place: CurrentContext, transfer_id: TransferId) -> Response:
    """Accept a recipient's receipt: a JWS signed with a key of its key set. It needs no other login."""
    await run_in_threadpool(_receive, place, transfer_id, await _signed_body(request))
    return Response(status_code=204)


@receiving.post(
    "/recipients/{recipient_id}/rotation",
    status_code=204,
    operation_id="rotate_recipient",
    tags=["recipients"],
    openapi_extra={"requestBody": {"content": {JOSE: {"schema": RECEIPT}}, "required": True}},
)
async def rotation(request: Request, place: CurrentContext, recipient_id: RecipientId) -> Response:
    """Accept a recipient's new key: a JWS signed with a key of its recorded key set. It needs no other login."""
    await run_in_threadpool(_rotate, place, recipient_id, await _signed_body(request), address(request))
    return Response(status_code=204)


async def _signed_body(request: Request) -> str:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JOSE:
        raise HTTPException(415)
    token = await request.body()
    if len(token) > RECEIPT_BYTES:
        raise HTTPException(413)
    return token.decode("ascii", "replace").strip()


def _receive(place: AppContext, transfer_id: str, token: str) -> None:
    place.limits.attempt(limits.RECEIPT, transfer_id)
    with place.reading() as connection:
        row, to = receipts.addressed(connection, transfer_id)
    with place.outbound.to(to["id"]):
        iss, present = place.settings.iss, place.clock.present()
        receipt = receipts.checked(SafeHttpClient.of(place.settings), token, row, to, iss=iss, present=present)
    with place.writing() as connection:
        receipts.record(connection, transfer_id, receipt)


def _rotate(place: AppContext, recipient_id: str, token: str, sent_from: str) -> None:
    # By address: a stranger knows the recipient's id, and the signature is checked later.
    place.limits.attempt(limits.RECEIPT, recipient_id, sent_from)
    with place.reading() as connection:
        row = recipients.approved(connection, recipient_id)
    with place.outbound.to(row["id"]):
        client, present = SafeHttpClient.of(place.settings), place.clock.present()
        rotated = proofs.rotation(client, place.settings, row, token, present)
    with place.writing() as connection:
        proofs.rotate(connection, row, rotated, actor=f"recipient:{row['id']}")


def _sent(place: AppContext, login: Login, connection: Connection, transfer_id: str) -> tuple[RowMapping, Actor]:
    """Return a transfer and the actor that acts on it.

    Raises: UnknownTransfer where it does not exist or the login has no access to it.
    """
    row = sending.get(connection, transfer_id)
    export = exports.get(connection, row["export_id"])
    try:
        return row, permit(place, login, Action.SEND, facts_of(connection, export), export_id=export["id"])
    except UnknownExport:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}") from None
