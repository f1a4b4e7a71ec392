"""`/staff`: the queue of requests, requests for others, decisions; the status of an export, never its contents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability.api.errors import BadInput
from portability.delivery import links
from portability.requests import approvals, exports, request_log, retries, reviews, slices
from portability.requests.policy import Action, Actor, ActorRole
from portability.requests.reviews import ReviewState
from portability.requests.states import CANCELLABLE, RECALLABLE, UNBEGUN, ExportState
from portability.retention import recalls
from portability.sources import declared_names
from portability.trust import audit
from web import asking, rendering
from web.auth import LoggedIn, OurForm, may, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.scopes import listing_scope
from web.visibility import facts_of, found

router = APIRouter(prefix="/staff", include_in_schema=False)

OPEN = "open"
EVENTS = 200
EVENT_MAX = 2**63 - 1
"""The greatest id that the database can count."""
CHANNELS = ("email", "letter", "phone", "page")
TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Text = Annotated[str, Form(max_length=1000, pattern=TEXT)]
Short = Annotated[str, Field(max_length=250, pattern=r"^[!-~]*$")]
Cursor = Annotated[str, Query(max_length=200)]


class StaffRequestForm(BaseModel):
    """The fields of the form for another person's or a company's data."""

    csrf: str = ""
    kind: Short
    id: Short
    reason: Annotated[str, Field(max_length=1000, pattern=TEXT)] = ""
    tenant: Short = ""
    profile: Short = "access"
    channel: Short = "email"
    received_at: Short = ""
    tell_tenants: Short = ""


@router.get("")
def desk(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    state: Annotated[str, Query(max_length=20)] = OPEN,
    q: Annotated[str, Query(max_length=64)] = "",
    cursor: Cursor = "",
) -> Response:
    """Show the queue by due date, or what a search or a state finds, the newest first."""
    _check_desk(place, login)
    with place.reading() as connection:
        scope = listing_scope(place, connection, login)
        if state == OPEN and not q:
            rows, following = request_log.by_due_date(connection, scope), None
        else:
            states = (state,) if state in {*ExportState} and not q else None
            rows, following = request_log.page(
                connection, scope, states=states, search=q.strip() or None, after=cursor or None
            )
        counts = request_log.counts(connection, scope)
    return rendering.page(
        request, "desk.html", rows=rows, following=following, counts=counts, state=state, q=q,
        states=[*ExportState], reads_log=may(place, login, Action.REQUESTS_READ),
        sources=bool(declared_names(place.settings)) and may(place, login, Action.SOURCES),
        recipients=may(place, login, Action.RECIPIENTS), inbox=may(place, login, Action.INBOX),
        referrals=ActorRole.TENANT_ADMIN in login.roles,
    )  # fmt: skip  # one call


@router.get("/new")
def new(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """Show the form for a new request."""
    _check_desk(place, login)
    return rendering.page(request, "new.html", channels=CHANNELS, today=datetime.now(UTC).date(), tenant=_tenant(login))


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


@router.get("/exports/{export_id}")
def show(request: Request, place: CurrentContext, login: LoggedIn, export_id: str) -> Response:
    """Show the status of an export, its history, and the permitted actions."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_STATE)
        progress = exports.progress(exports.ledger(connection, export_id), slices.of(connection, export_id))
        status: dict[str, Any] = {
            "row": row,
            "done": progress["datasets"],
            "of_all": progress["datasets_expected"],
            "gaps": retries.count_fillable(connection, row),
            "events": audit.events(connection, export_id=export_id),
            "links": links.of(connection, export_id),
            "causes": exports.review(connection, row),
            "can": _possible(place, login, connection, row),
            "bases": list(approvals.DenialBasis),
            "reviews": reviews.of(connection, row),
            "review_reasons": list(reviews.ReviewReason),
        }
    return rendering.page(request, "desk_export.html", **status, staff=True, kept_until=None)


@router.post("/exports/{export_id}/{what}", dependencies=[OurForm])
def act(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    export_id: str,
    what: str,
    reason: Text = "",
    basis: Text = "other",
) -> Response:
    """Do what a button says."""
    action = ACTIONS.get(what)
    if action is None:
        raise BadInput(f"unknown action {what!r}: use one of {', '.join(ACTIONS)}")
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, action)
        _do(connection, row["id"], what, actor, reason.strip(), basis)
    place.wake(export_id)
    rendering.flash(request, "done")
    return rendering.see_other(f"/staff/exports/{export_id}")


@router.post("/exports/{export_id}/reviews/{review_id}", dependencies=[OurForm])
def decide(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    export_id: str,
    review_id: str,
    decision: Text,
    reason: Text,
) -> Response:
    """Record whether a record is the subject's."""
    if decision not in {*ReviewState}:
        raise BadInput(f"unknown decision {decision!r}: use theirs or not_theirs")
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.DECIDE_REVIEW)
        reviews.decide(connection, row["id"], review_id, ReviewState(decision), reason=reason, actor=actor)
    rendering.flash(request, "done")
    return rendering.see_other(f"/staff/exports/{export_id}")


@router.get("/audit")
def log(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    after: Annotated[int, Query(ge=0, le=EVENT_MAX)] = 0,
    check: str = "",
) -> Response:
    """Show the audit log, and on request whether its chain is unbroken."""
    permit(place, login, Action.AUDIT_READ)
    with place.reading() as connection:
        newest = audit.head(connection).event_id
        begin = after or max(0, newest - EVENTS)
        events = audit.chained(connection, after=begin, limit=EVENTS)
        verdict = audit.verify(connection) if check else None
    earlier = max(0, begin - EVENTS) if begin else None
    return rendering.page(request, "audit.html", events=events[::-1], earlier=earlier, verdict=verdict, begin=begin)


@router.get("/requests.csv")
def request_log_csv(place: CurrentContext, login: LoggedIn) -> Response:
    """Return the whole request log as a table."""
    permit(place, login, Action.REQUESTS_READ)
    parts = request_log.tables(place.reading, request_log.Scope())
    headers = {"Content-Disposition": 'attachment; filename="requests.csv"'}
    return StreamingResponse(parts, 200, headers, "text/csv; charset=utf-8")


ACTIONS = {
    "cancel": Action.CANCEL,
    "retry": Action.RETRY,
    "gaps": Action.RETRY,
    "revoke": Action.REVOKE,
    "approve": Action.APPROVE,
    "deny": Action.DENY,
    "recall": Action.RECALL,
}


def _do(connection: Connection, export_id: str, what: str, as_whom: Actor, reason: str, basis: str) -> None:
    actor = str(as_whom)
    match what:
        case "approve":
            approvals.approve(connection, export_id, actor=as_whom)
        case "deny":
            approvals.deny(connection, export_id, reason=reason, actor=as_whom, basis=basis)
        case "recall":
            recalls.recall(connection, export_id, reason=reason, actor=actor)
        case "cancel":
            exports.cancel(connection, export_id, actor=actor)
        case "retry":
            retries.retry(connection, export_id, actor=actor)
        case "gaps":
            retries.retry_gaps(connection, export_id, actor=actor)
        case "revoke":
            links.revoke_all(connection, export_id, actor=actor)


def _possible(place: AppContext, login: Login, connection: Connection, row: RowMapping) -> dict[str, bool]:
    """Return which buttons the page has: those that the state and the role permit."""
    state = row["state"]
    standing = any(link["revoked_at"] is None for link in links.of(connection, row["id"]))
    is_fillable = state == ExportState.READY and retries.count_fillable(connection, row) > 0
    asked = state in approvals.APPROVABLE and bool(approvals.waiting(connection, row["id"]))
    fits = {
        "approve": asked,
        "deny": asked or state in UNBEGUN,
        "recall": state in RECALLABLE,
        "cancel": state in CANCELLABLE and row["cancel_requested_at"] is None,
        "retry": state == ExportState.FAILED,
        "gaps": is_fillable,
        "revoke": state == ExportState.READY and standing,
    }
    facts = facts_of(connection, row)
    possible = {what: fit and may(place, login, ACTIONS[what], facts) for what, fit in fits.items()}
    return {**possible, "review": may(place, login, Action.DECIDE_REVIEW, facts)}


def _check_desk(place: AppContext, login: Login) -> None:
    if ActorRole.TENANT_ADMIN not in login.roles:
        permit(place, login, Action.LIST_ALL)


def _tenant(login: Login) -> str:
    return (login.tenant or "") if ActorRole.TENANT_ADMIN in login.roles else ""
