"""`/staff`: the lists of requests, sorted and page by page; the search; actions on several requests at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability.api.errors import BadInput, PortabilityError
from portability.database import deployment
from portability.desk import colleagues, views
from portability.errors import StepUpRequired
from portability.people import account_search
from portability.requests import approvals, desk_queue, exports, questions, request_log
from portability.requests.desk_queue import DeskList, DeskSort, DeskView
from portability.requests.policy import Action, Actor, ActorRole
from portability.requests.states import ExportState
from portability.sources import declared_names
from web import rendering
from web.auth import LoggedIn, OurForm, may, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.scopes import listing_scope
from web.visibility import found

router = APIRouter(prefix="/staff", include_in_schema=False)

SELECTED_MAX = 50
SEEN_MAX = 10_000
"""Characters of the ids of all questions about the selected requests."""
TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Cursor = Annotated[str, Query(max_length=200)]
Searched = Annotated[str, Form(max_length=200, pattern=TEXT)]
Draft = Annotated[str, Field(max_length=10_000)]
"""A field of a form that is shown again as it was filled in, whatever is wrong with it."""
BULK: dict[str, Action] = {
    "approve": Action.APPROVE,
    "cancel": Action.CANCEL,
    "assign": Action.SEE_STATE,
    "assign_to": Action.SEE_STATE,
    "release": Action.SEE_STATE,
}
"""What can be done with several requests at once, and the action that each of them needs."""
ASSIGNING = frozenset({"assign", "assign_to", "release"})
"""Only people who work on the requests of all tenants assign them."""


DONE, REVISION_STOPPED = "done", "revision_stopped"
"""What became of a request; the second: only its next revision was cancelled, and its copy stays."""


class BulkForm(BaseModel):
    """The fields of an action on several requests."""

    csrf: str = ""
    what: Annotated[str, Field(max_length=20)]
    selected: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=SELECTED_MAX)] = []
    confirmed: Annotated[str, Field(max_length=8)] = ""
    assignee: Annotated[str, Field(max_length=200, pattern=TEXT)] = ""
    """For `assign_to`: the id of a colleague."""
    seen: Annotated[str, Field(max_length=SEEN_MAX, pattern=TEXT)] = ""
    """For `approve`: the ids of the questions that the page showed."""


@router.get("")
def desk(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    state: Annotated[str, Query(max_length=20)] = DeskView.OPEN,
    sort: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Cursor = "",
    to: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show a list of requests, or those whose reference begins with a text; `to`: whose list of assigned requests."""
    check_desk(place, login)
    view = state if state in {*DeskView, *ExportState} else DeskView.OPEN
    wanted = DeskList(view, sort, (to if view == DeskView.ASSIGNED else "") or login.id)
    with place.reading() as connection:
        scope = listing_scope(place, connection, login)
        following, is_cut = None, False
        if text := q.strip():
            rows, is_cut = desk_queue.find(connection, scope, text)
        else:
            rows, following = desk_queue.page(connection, scope, wanted, after=cursor or None)
        counts = request_log.counts(connection, scope)
    if q.strip():
        _note_search(place, login, len(rows))
    more: dict[str, Any] = {"q": q, "is_cut": is_cut}
    return _page(request, place, login, rows=rows, following=following, counts=counts, wanted=wanted, **more)


@router.post("/search", dependencies=[OurForm])
def search(request: Request, place: CurrentContext, login: LoggedIn, q: Searched = "") -> Response:
    """Show the requests that a text names, or open a single result: an address in a form is in no URL."""
    check_desk(place, login)
    text = q.strip()
    if not text:
        return rendering.see_other("/staff")
    known = account_search.FoundAccounts()
    if may(place, login, Action.LIST_ALL):
        known = account_search.of_text(text, place.exporters)
    with place.reading() as connection:
        scope = listing_scope(place, connection, login)
        ids = [*(form for _kind, form in known.addresses), *known.accounts]
        (rows, is_cut), counts = desk_queue.find(connection, scope, text, ids), request_log.counts(connection, scope)
    _note_search(place, login, len(rows))
    if len(rows) == 1 and not known.unresolved and not known.left_out:
        return rendering.see_other(f"/staff/exports/{rows[0]['id']}")
    wanted = DeskList(DeskView.ALL, "", login.id)
    more: dict[str, Any] = {"q": text, "is_cut": is_cut, "known": known}
    return _page(request, place, login, rows=rows, following=None, counts=counts, wanted=wanted, **more)


@router.post("/bulk", dependencies=[OurForm])
def bulk(request: Request, place: CurrentContext, login: LoggedIn, form: Annotated[BulkForm, Form()]) -> Response:
    """Do the same with several requests: the first answer asks, the second says what became of each."""
    action = BULK.get(form.what)
    if action is None:
        raise BadInput(f"unknown action {form.what!r}: use one of {', '.join(BULK)}")
    check_desk(place, login)
    if form.what == "assign_to":
        with place.reading() as connection:
            colleagues.check(connection, form.assignee)
    # All are read before one is changed: with an unknown id the answer could not say what became of the others.
    with place.reading() as connection:
        rows = [found(place, login, connection, identifier, Action.SEE_STATE)[0] for identifier in form.selected]
    results = None
    if form.confirmed == "yes":
        results = {identifier: _one(place, login, identifier, form, action) for identifier in form.selected}
        with place.reading() as connection:
            rows = [exports.get(connection, row["id"]) for row in rows]
    asked = _questions(place, rows) if form.what == "approve" else {}
    return rendering.page(
        request,
        "bulk.html",
        what=form.what,
        rows=rows,
        results=results,
        assignee=form.assignee,
        asked=asked,
        fine=(DONE, REVISION_STOPPED),
    )


@router.get("/requests.csv")
def request_log_csv(place: CurrentContext, login: LoggedIn) -> Response:
    """Return the whole request log as a table."""
    permit(place, login, Action.REQUESTS_READ)
    parts = request_log.tables(place.reading, request_log.Scope())
    headers = {"Content-Disposition": 'attachment; filename="requests.csv"'}
    return StreamingResponse(parts, 200, headers, "text/csv; charset=utf-8")


def check_desk(place: AppContext, login: Login) -> None:
    """Check that a person works on requests. Raises NotAllowed."""
    if ActorRole.TENANT_ADMIN not in login.roles:
        permit(place, login, Action.LIST_ALL)


def _page(
    request: Request,
    place: AppContext,
    login: Login,
    *,
    wanted: DeskList,
    known: account_search.FoundAccounts | None = None,
    **shown: Any,  # noqa: ANN401  # what a template shows is of any kind
) -> Response:
    assigns, to = may(place, login, Action.LIST_ALL), wanted.assignee if wanted.assignee != login.id else ""
    with place.reading() as connection:
        saved = [
            {**view, "url": address_of(DeskList(view["state"], view["sort"], view["assignee"]))}
            for view in views.of(connection, login.identity, with_team=assigns)
        ]
        team = colleagues.listed(connection) if assigns else ()
        at = deployment.clock_of(connection)
    here = address_of(DeskList(wanted.view, wanted.sort, to))
    return rendering.page(
        request, "desk.html", **shown, state=wanted.view, order=wanted.order, sorts=DeskSort, states=[*ExportState],
        sortable=wanted.is_unanswered, assigns=assigns, colleagues=team, to=to, here=here,
        known=known or account_search.FoundAccounts(), views=saved, is_officer=ActorRole.OFFICER in login.roles,
        reads_log=may(place, login, Action.REQUESTS_READ),
        sources=bool(declared_names(place.settings)) and may(place, login, Action.SOURCES),
        recipients=may(place, login, Action.RECIPIENTS), inbox=may(place, login, Action.INBOX),
        referrals=ActorRole.TENANT_ADMIN in login.roles, now=at,
    )  # fmt: skip  # one call


def address_of(wanted: DeskList) -> str:
    """Return the address of a list; without an assignee it is that of the person who looks."""
    named = {"state": wanted.view, "sort": wanted.sort, "to": wanted.assignee}
    return "/staff?" + urlencode({name: value for name, value in named.items() if value}, quote_via=quote)


def _questions(place: AppContext, rows: Sequence[RowMapping]) -> Mapping[str, Sequence[RowMapping]]:
    """Return what is asked about each of the requests that can be approved, by the id of the request."""
    with place.reading() as connection:
        return {
            row["id"]: approvals.waiting(connection, row["id"]) for row in rows if row["state"] in approvals.APPROVABLE
        }


def _one(place: AppContext, login: Login, identifier: str, form: BulkForm, action: Action) -> str:
    """Do it with one request; returns what became of it: DONE, REVISION_STOPPED or the code of an error."""
    became = DONE
    try:
        with place.writing() as connection:
            # One second login is for all: with one for each, the list would ask for the next at every attempt.
            row, actor = found(place, login, connection, identifier, action, thing=" ".join(sorted({*form.selected})))
            if form.what in ASSIGNING:
                permit(place, login, Action.LIST_ALL)
                whom = {"assign": login.id, "assign_to": form.assignee}.get(form.what)
                desk_queue.assign(connection, row["id"], whom, actor=str(actor))
            else:
                became = _DOES[form.what](connection, row, actor, form)
    except StepUpRequired:
        raise
    except PortabilityError as error:
        return error.code
    place.wake(identifier)
    return became


def _approve(connection: Connection, row: RowMapping, actor: Actor, form: BulkForm) -> str:
    questions.check_among(connection, row["id"], form.seen.split())
    approvals.approve(connection, row["id"], actor=actor)
    return DONE


def _cancel(connection: Connection, row: RowMapping, actor: Actor, _form: BulkForm) -> str:
    reached = exports.cancel(connection, row["id"], actor=str(actor))
    return REVISION_STOPPED if reached is ExportState.READY else DONE


_DOES: dict[str, Callable[[Connection, RowMapping, Actor, BulkForm], str]] = {"approve": _approve, "cancel": _cancel}


def _note_search(place: AppContext, login: Login, count: int) -> None:
    """Note for the audit log that a person searched; the text may be personal data and is not recorded."""
    actor = [*login.actors()][-1]
    place.observations.note("desk.searched", str(actor), None, found=str(min(count, desk_queue.FOUND_MAX)))
