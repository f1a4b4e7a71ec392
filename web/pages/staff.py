"""`/staff/exports`: decisions on requests; the status of an export, never its contents."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability.api.errors import BadInput
from portability.database import deployment
from portability.delivery import links
from portability.desk import colleagues
from portability.errors import ReasonRequired
from portability.requests import (
    approvals,
    desk_queue,
    earlier_revisions,
    estimates,
    exports,
    questions,
    retries,
    reviews,
    slices,
    timelines,
)
from portability.requests.dates import days_between
from portability.requests.policy import Action, Actor
from portability.requests.reviews import ReviewState
from portability.requests.states import UNBEGUN, ExportState
from portability.retention import recalls
from web import rendering
from web.auth import LoggedIn, OurForm, may, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.pages import desk_work
from web.pages.desk import TEXT, Cursor
from web.scopes import listing_scope
from web.visibility import facts_of, found

router = APIRouter(prefix="/staff", include_in_schema=False)
REVIEWS_SHOWN = 50
"""Records to review that the page of a request shows at once: those without a decision first."""

Text = Annotated[str, Form(max_length=1000, pattern=TEXT)]
Address = Annotated[str, Form(max_length=250, pattern=TEXT)]
Long = Annotated[str, Field(max_length=1000, pattern=TEXT)]
Short = Annotated[str, Field(max_length=250, pattern=r"^[!-~]*$")]


class RequestButtonForm(BaseModel):
    """The fields of the buttons of a request."""

    csrf: str = ""
    reason: Long = ""
    basis: Long = "other"
    confirmed: Short = ""
    seen: Long = ""
    """The ids of the questions that the page showed, or `none`."""


@router.get("/exports/{export_id}")
def show(
    request: Request, place: CurrentContext, login: LoggedIn, export_id: str, events: Cursor = "", notes: Cursor = ""
) -> Response:
    """Show the status of an export, a page of its history and of its notes, and the permitted actions."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_STATE)
        progress = exports.progress(exports.ledger(connection, export_id), slices.of(connection, export_id))
        status: dict[str, Any] = {
            "now": deployment.clock_of(connection),
            "row": row,
            "done": progress["datasets"],
            "of_all": progress["datasets_expected"],
            "gaps": retries.count_fillable(connection, row),
            **_timeline(connection, export_id, events or None),
            "links": links.of(connection, export_id),
            "causes": _causes(connection, row),
            "alone": approvals.alone(connection, export_id),
            "seen": questions.ids(connection, export_id),
            "can": _possible(place, login, connection, row),
            "bases": list(approvals.DenialBasis),
            "reviews": sorted(reviews.of(connection, row), key=lambda one: one["state"] != ReviewState.OPEN),
            "reviews_shown": REVIEWS_SHOWN,
            "review_reasons": list(reviews.ReviewReason),
            "others": desk_queue.others(connection, listing_scope(place, connection, login), row),
            "others_shown": desk_queue.OTHERS,
            "days": days_between(row["since"], row["until"], place.settings.place),
            "expected": estimates.typical(connection, row["profile"], row["subject_kind"], row["subject_ref"]),
            **desk_work.shared(request, place, login, connection, row, after=notes or None),
        }
    return rendering.page(request, "desk_export.html", **status, staff=True, kept_until=None)


def _timeline(connection: Connection, export_id: str, after: str | None) -> dict[str, Any]:
    events, following = timelines.page(connection, export_id, after=after)
    return {"events": events, "following_events": following}


@router.post("/exports/{export_id}/{what}", dependencies=[OurForm])
def act(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    export_id: str,
    what: str,
    form: Annotated[RequestButtonForm, Form()],
) -> Response:
    """Do what a button says; what ends a request for good asks first."""
    action = ACTIONS.get(what)
    if action is None:
        raise BadInput(f"unknown action {what!r}: use one of {', '.join(ACTIONS)}")
    if what in CONFIRMED and form.confirmed != "yes":
        return _ask(request, place, login, export_id, what, action, form)
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, action)
        if form.seen:
            questions.check_seen(connection, row["id"], form.seen)
        _do(connection, row["id"], what, actor, form.reason.strip(), form.basis)
    place.wake(export_id)
    rendering.flash(request, "revision_stopped" if what == "cancel" and exports.is_revised(row) else "done")
    return rendering.see_other(f"/staff/exports/{export_id}")


@router.post("/exports/{export_id}/assignment/{whom}", dependencies=[OurForm])
def assign(
    request: Request, place: CurrentContext, login: LoggedIn, export_id: str, whom: str, assignee: Address = ""
) -> Response:
    """Take a request, give it back, or give it to a colleague (`other`, with the id in the form)."""
    if whom not in {"me", "none", "other"}:
        raise BadInput(f"unknown assignment {whom!r}: use me, none or other")
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEE_STATE)
        permit(place, login, Action.LIST_ALL)
        if whom == "other":
            colleagues.check(connection, assignee)
        chosen = {"me": login.id, "other": assignee}.get(whom)
        desk_queue.assign(connection, row["id"], chosen, actor=str(actor))
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


ACTIONS = {
    "cancel": Action.CANCEL,
    "retry": Action.RETRY,
    "gaps": Action.RETRY,
    "revoke": Action.REVOKE,
    "approve": Action.APPROVE,
    "deny": Action.DENY,
    "recall": Action.RECALL,
}


CONFIRMED = frozenset({"deny", "recall"})
"""Actions that end a request for good."""


def _ask(
    request: Request,
    place: AppContext,
    login: Login,
    export_id: str,
    what: str,
    action: Action,
    form: RequestButtonForm,
) -> Response:
    """Show what an action does, and ask whether it is meant. Raises as the action for a reason or ground that lacks."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, action)
    reason, basis = form.reason.strip(), form.basis
    if not reason:
        raise ReasonRequired("a reason is required")
    if what == "deny" and basis not in {*approvals.DenialBasis}:
        raise BadInput(f"unknown basis {basis!r}: use one of {', '.join(approvals.DenialBasis)}")
    shown: dict[str, Any] = {
        "row": row,
        "what": what,
        "reason": reason,
        "basis": basis,
        "seen": form.seen,
        "answer": None,
    }
    return rendering.page(request, "confirm.html", **shown)


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
        "recall": recalls.had_archive(row),
        "cancel": exports.is_cancellable(row) and not row["cancel_requested_at"],
        "retry": state == ExportState.FAILED
        and not row["erased_at"]
        and not retries.archive_number(connection, row["id"]),
        "gaps": is_fillable,
        "revoke": standing and bool(earlier_revisions.archive(connection, row)),
    }
    facts = facts_of(connection, row)
    possible = {what: fit and may(place, login, ACTIONS[what], facts) for what, fit in fits.items()}
    return {**possible, "review": may(place, login, Action.DECIDE_REVIEW, facts)}


def _causes(connection: Connection, row: RowMapping) -> list[str]:
    """Return why another person is asked: to begin, or about a copy or a transfer of what is ready."""
    if row["state"] not in approvals.APPROVABLE:
        return []
    return [*dict.fromkeys(asked["cause"] for asked in approvals.waiting(connection, row["id"]))]
