"""`/staff/recipients`: other providers, which an officer records and another officer approves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from portability.api.errors import BadInput
from portability.law.countries import COUNTRIES, Mechanism
from portability.locale import values
from portability.requests.policy import Action, Actor
from portability.safe_http import SafeHttpClient
from portability.transfers import recipient_lists, recipient_removal, recipients
from portability.transfers.recipients import RecipientEntry
from web import challenges, rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext
from web.pages.desk import Draft

HERE = "/staff/recipients"
router = APIRouter(prefix=HERE, include_in_schema=False)
APPROVE, REMOVE = "approve", "remove"
ASKED_TWICE = frozenset({APPROVE, REMOVE})
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


class RecipientDraft(BaseModel):
    """The same fields, whatever was entered."""

    csrf: str = ""
    name: Draft = ""
    domain: Draft = ""
    country: Draft = ""
    mechanism: Draft = ""
    safeguard: Draft = ""
    age_key: Draft = ""
    jwks_url: Draft = ""
    webhook_url: Draft = ""
    datasets: Draft = ""
    redirect_uris: Draft = ""


NO_DRAFT = RecipientDraft()


@router.get("")
def listed(
    request: Request, place: CurrentContext, login: LoggedIn, cursor: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Show the recipients with their fingerprints page by page, and a form for another."""
    permit(place, login, Action.RECIPIENTS)
    return shown_page(request, place, cursor=cursor or None)


@router.post("/draft", dependencies=[OurForm])
def listed_again(
    request: Request, place: CurrentContext, login: LoggedIn, draft: Annotated[RecipientDraft, Form()]
) -> Response:
    """Show the page with the form for another as it had been filled in; nothing is recorded."""
    permit(place, login, Action.RECIPIENTS)
    return shown_page(request, place, draft=draft)


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
    return recorded_page(request, place, entry, actor)


@router.post("/{recipient_id}/{what}", dependencies=[OurForm])
def decide(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    recipient_id: str,
    what: str,
    confirmed: Annotated[Line, Form()] = "",
) -> Response:
    """Approve a recipient that another officer has recorded, ask it for proof of its keys, or remove it.

    Approval and removal are asked for once more.
    """
    actor = permit(place, login, Action.RECIPIENTS)
    if what in ASKED_TWICE and not confirmed:
        return _sure(request, place, recipient_id, what, actor)
    if what == "prove":
        with place.reading() as connection:
            row = recipients.get(connection, recipient_id)
        challenges.challenge(place, row, str(actor))
        rendering.flash(request, "done")
        return rendering.see_other(HERE)
    if what == "approve":
        challenges.before_approval(place, recipient_id, actor)
    with place.writing() as connection:
        match what:
            case "approve":
                recipients.approve(connection, recipient_id, actor=actor)
            case "remove":
                recipient_removal.remove(connection, recipient_id, actor=str(actor))
            case _:
                raise BadInput(f"unknown action {what!r}: use approve, prove or remove")
    rendering.flash(request, "done")
    return rendering.see_other(HERE)


def recorded_page(request: Request, place: AppContext, entry: RecipientEntry, actor: Actor) -> Response:
    """Record and challenge a recipient; the page has its webhook secret. Raises WrongState, NoSigningKey."""
    settings = place.settings
    with place.writing() as connection:
        identifier, secret = recipients.add(
            connection, settings.keys, entry, actor=actor, approved=not settings.needs_approvals
        )
        row = recipients.get(connection, identifier)
    challenges.fault_of(place, row, str(actor))
    return shown_page(request, place, secret=secret)


def _sure(request: Request, place: AppContext, recipient_id: str, what: str, actor: Actor) -> Response:
    """Show what an approval or a removal is about, with the button that does it."""
    with place.reading() as connection:
        found = (
            recipients.approvable(connection, recipient_id, actor=actor)
            if what == APPROVE
            else recipients.get(connection, recipient_id)
        )
    # The path is that of a page: a visitor who chooses another language comes back to it.
    return rendering.page(request, "recipient_sure.html", row=recipients.view(found), what=what, path=HERE)


def shown_page(
    request: Request,
    place: AppContext,
    *,
    status: int = 200,
    cursor: str | None = None,
    secret: str | None = None,
    asked: BaseModel | None = None,
    draft: RecipientDraft = NO_DRAFT,
    **more: Any,  # noqa: ANN401  # what the template shows
) -> Response:
    """Show a page of the recipients, and the forms.

    `asked` is the form for a domain as it was sent, `draft` the form for a recipient.
    """
    with place.reading() as connection:
        found, following = recipient_lists.newest(connection, after=cursor)
    rows = [{**recipients.view(row), "proven_at": row["proven_at"]} for row in found]
    countries = values.countries(rendering.language(request), COUNTRIES)
    return rendering.page(
        request,
        "recipients.html",
        path=HERE,
        status=status,
        rows=rows,
        following=following,
        secret=secret,
        asked=asked,
        draft=draft,
        mechanisms=[*Mechanism],
        countries=countries,
        **more,
    )
