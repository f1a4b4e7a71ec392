"""`/staff`: the queue of requests, asking for somebody, deciding; where an export stands and never what is in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability import approvals, audit, exports, links, recalls, request_log, retries, slices
from portability.errors import BadInput
from portability.policy import Action, Actor, Role
from portability.states import UNDECIDED, ExportState
from web import asking, pages
from web.auth import LoggedIn, Login, OurForm, may, permit
from web.place import Here, Place
from web.scopes import listing_scope
from web.seen import facts_of, found

router = APIRouter(prefix="/staff", include_in_schema=False)

OPEN = "open"
EVENTS = 200
CHANNELS = ("email", "letter", "phone", "page")
TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Text = Annotated[str, Form(max_length=1000, pattern=TEXT)]
Short = Annotated[str, Field(max_length=250, pattern=r"^[!-~]*$")]
Cursor = Annotated[str, Query(max_length=200)]


class Asked(BaseModel):
    """The form for somebody else's data."""

    csrf: str = ""
    kind: Short
    id: Short
    reason: Annotated[str, Field(max_length=1000, pattern=TEXT)] = ""
    tenant: Short = ""
    profile: Short = "access"
    channel: Short = "email"
    received_at: Short = ""


@router.get("")
def desk(
    request: Request,
    place: Here,
    login: LoggedIn,
    state: Annotated[str, Query(max_length=20)] = OPEN,
    q: Annotated[str, Query(max_length=64)] = "",
    cursor: Cursor = "",
) -> Response:
    """The queue by due date, or what a search or a state finds, the newest first."""
    _check_desk(place, login)
    with place.reading() as connection:
        scope = listing_scope(connection, login)
        if state == OPEN and not q:
            rows, following = request_log.by_due_date(connection, scope), None
        else:
            states = (state,) if state in {*ExportState} and not q else None
            rows, following = request_log.page(
                connection, scope, states=states, search=q.strip() or None, after=cursor or None
            )
        counts = request_log.counts(connection, scope)
    return pages.page(
        request, "desk.html", rows=rows, following=following, counts=counts, state=state, q=q,
        states=[*ExportState], reads_log=may(place, login, Action.REQUESTS_READ),
        recipients=may(place, login, Action.RECIPIENTS),
    )  # fmt: skip  # one call


@router.get("/new")
def new(request: Request, place: Here, login: LoggedIn) -> Response:
    """A form to ask for somebody."""
    _check_desk(place, login)
    return pages.page(request, "new.html", channels=CHANNELS, today=datetime.now(UTC).date(), tenant=_tenant(login))


@router.post("/exports", dependencies=[OurForm])
def ask(request: Request, place: Here, login: LoggedIn, asked: Annotated[Asked, Form()]) -> Response:
    """Ask for somebody, with a reason. What is made goes to them."""
    wanted = asking.wanted(
        place,
        profile="switch" if asked.kind == "tenant" else asked.profile,
        subject=f"{asked.kind}:{asked.id}",
        tenant=(asked.tenant or None) if asked.kind == "contact" else None,
        reason=asked.reason.strip() or None,
        channel=asked.channel,
        received_at=asked.received_at or None,
    )
    identifier, is_new, _actor = asking.accept(place, login, wanted)
    pages.flash(request, "done" if is_new else "asked_for_already")
    return pages.see_other(f"/staff/exports/{identifier}")


@router.get("/exports/{export_id}")
def one(request: Request, place: Here, login: LoggedIn, export_id: str) -> Response:
    """Where one stands, what happened, and what can be done."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_STATE)
        progress = exports.progress(exports.ledger(connection, export_id), slices.of(connection, export_id))
        told: dict[str, Any] = {
            "row": row,
            "done": progress["datasets"],
            "of_all": progress["datasets_expected"],
            "gaps": sum(gap["resume"] is not None for gap in exports.gaps(connection, export_id)),
            "events": audit.events(connection, export_id=export_id),
            "links": links.of(connection, export_id),
            "causes": exports.review(connection, row),
            "can": _possible(place, login, connection, row),
            "bases": list(approvals.Basis),
        }
    return pages.page(request, "desk_export.html", **told, staff=True, kept_until=None)


@router.post("/exports/{export_id}/{what}", dependencies=[OurForm])
def act(
    request: Request, place: Here, login: LoggedIn, export_id: str, what: str, reason: Text = "", basis: Text = "other"
) -> Response:
    """One of the buttons."""
    action = ACTIONS.get(what)
    if action is None:
        raise BadInput("there is no such action")
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, action)
        _do(connection, row["id"], what, actor, reason.strip(), basis)
    place.wake(export_id)
    pages.flash(request, "done")
    return pages.see_other(f"/staff/exports/{export_id}")


@router.get("/audit")
def log(
    request: Request, place: Here, login: LoggedIn, after: Annotated[int, Query(ge=0)] = 0, check: str = ""
) -> Response:
    """The audit log, and whether its chain is unbroken."""
    permit(place, login, Action.AUDIT_READ)
    with place.reading() as connection:
        newest = audit.head(connection).event_id
        begin = after or max(0, newest - EVENTS)
        events = audit.events(connection, after=begin, limit=EVENTS)
        verdict = audit.verify(connection) if check else None
    earlier = max(0, begin - EVENTS) if begin else None
    return pages.page(request, "audit.html", events=events[::-1], earlier=earlier, verdict=verdict, begin=begin)


@router.get("/requests.csv")
def request_log_csv(place: Here, login: LoggedIn) -> Response:
    """The whole request log as a table."""
    permit(place, login, Action.REQUESTS_READ)
    with place.reading() as connection:
        table = request_log.table(request_log.every(connection, request_log.Scope()))
    headers = {"Content-Disposition": 'attachment; filename="requests.csv"'}
    return Response(table, 200, headers, "text/csv; charset=utf-8")


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


def _possible(place: Place, login: Login, connection: Connection, row: RowMapping) -> dict[str, bool]:
    """Which buttons there are: what the state allows and the role may."""
    state = row["state"]
    standing = any(link["revoked_at"] is None for link in links.of(connection, row["id"]))
    filled = any(gap["resume"] is not None for gap in exports.gaps(connection, row["id"]))
    asked = state in approvals.APPROVABLE and bool(approvals.waiting(connection, row["id"]))
    fits = {
        "approve": asked,
        "deny": asked or state in {ExportState.REVIEW, ExportState.QUEUED},
        "recall": state in recalls.DELIVERABLE,
        "cancel": state in UNDECIDED and row["cancel_requested_at"] is None,
        "retry": state == ExportState.FAILED,
        "gaps": state == ExportState.READY and filled,
        "revoke": state == ExportState.READY and standing,
    }
    facts = facts_of(connection, row)
    return {what: fit and may(place, login, ACTIONS[what], facts) for what, fit in fits.items()}


def _check_desk(place: Place, login: Login) -> None:
    if Role.TENANT_ADMIN not in login.roles:
        permit(place, login, Action.LIST_ALL)


def _tenant(login: Login) -> str:
    return (login.tenant or "") if Role.TENANT_ADMIN in login.roles else ""
