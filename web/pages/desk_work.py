"""`/staff`: notes on requests, saved lists, and texts for questions to a person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection, RowMapping

from portability import locale
from portability.desk import answers, colleagues, notes, views
from portability.law.notice import AnswerUse
from portability.requests import questions
from portability.requests.desk_queue import DeskList, DeskView
from portability.requests.policy import Action, Actor, ActorRole
from portability.requests.states import ExportState
from web import rendering
from web.auth import LoggedIn, OurForm, may, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.pages.desk import TEXT, address_of, check_desk
from web.visibility import facts_of, found

router = APIRouter(prefix="/staff", include_in_schema=False)

Note = Annotated[str, Form(max_length=notes.TEXT_MAX, pattern=TEXT)]
Word = Annotated[str, Form(max_length=200, pattern=TEXT)]
Language = Annotated[str, Query(max_length=35)]


@router.post("/exports/{export_id}/notes", dependencies=[OurForm])
def write_note(
    request: Request, place: CurrentContext, login: LoggedIn, export_id: str, text: Note = "", about: Word = "request"
) -> Response:
    """Write a note about a request or its person."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.NOTE)
        notes.write(connection, place.settings, row["id"], text, about, actor=actor)
    rendering.flash(request, "done")
    return rendering.see_other(f"/staff/exports/{export_id}")


@router.post("/exports/{export_id}/notes/{note_id}/delete", dependencies=[OurForm])
def delete_note(
    request: Request, place: CurrentContext, login: LoggedIn, export_id: str, note_id: str, reason: Word = ""
) -> Response:
    """Delete a note that must not be in the person's copy: a decision, as that on a record of unclear ownership."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.DECIDE_REVIEW)
        notes.delete_note(connection, row["id"], note_id, reason, actor=actor)
    rendering.flash(request, "done")
    return rendering.see_other(f"/staff/exports/{export_id}")


@router.get("/exports/{export_id}/texts/{name}")
def text_for_answer(
    request: Request, place: CurrentContext, login: LoggedIn, export_id: str, name: str, language: Language = ""
) -> Response:
    """Show a text for an answer in a language: a refusal to be changed and confirmed, a question to be copied."""
    known = place.notice.answers.get(name)
    is_refusal = known is not None and known.use is AnswerUse.REFUSAL
    permit(place, login, Action.LIST_ALL)
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.DENY if is_refusal else Action.SEE_STATE)
        seen = questions.ids(connection, row["id"])
    chosen = language if language in locale.languages() else answers.reader_language(row, rendering.language(request))
    settings = place.settings
    answer = answers.filled(place.notice, name, row, chosen, contact=settings.contact, place=settings.place)
    if not is_refusal:
        return rendering.page(request, "question.html", row=row, answer=answer)
    shown: dict[str, Any] = {"reason": answer.text, "basis": answer.basis, "seen": seen, "answer": answer}
    return rendering.page(request, "confirm.html", row=row, what="deny", **shown)


@router.post("/views", dependencies=[OurForm])
def save_view(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    name: Word = "",
    state: Word = DeskView.OPEN,
    sort: Word = "",
    to: Word = "",
    team: Word = "",
) -> Response:
    """Save a list under a name."""
    check_desk(place, login)
    view = state if state in {*DeskView, *ExportState} else DeskView.OPEN
    with place.writing() as connection:
        if to := to if view == DeskView.ASSIGNED else "":
            colleagues.check(connection, to)
        wanted = DeskList(view, DeskList(view, sort).order, to)
        views.save(connection, name, wanted, actor=_worker(login), for_team=bool(team))
    rendering.flash(request, "view_saved")
    return rendering.see_other(address_of(wanted))


@router.post("/views/{view_id}/delete", dependencies=[OurForm])
def delete_view(request: Request, place: CurrentContext, login: LoggedIn, view_id: str) -> Response:
    """Delete a saved list."""
    check_desk(place, login)
    with place.writing() as connection:
        views.delete_view(connection, view_id, actor=_worker(login))
    rendering.flash(request, "done")
    return rendering.see_other("/staff")


def _worker(login: Login) -> Actor:
    """Return the actor who saves lists: as officer, if the person is one."""
    actors = [*login.actors()]
    return next((actor for actor in actors if actor.role == ActorRole.OFFICER), actors[-1])


def shared(
    request: Request, place: AppContext, login: Login, connection: Connection, row: RowMapping, *, after: str | None
) -> dict[str, Any]:
    """Return what colleagues share about a request: a page of notes, who works on it, texts for answers."""
    assigns, language = may(place, login, Action.LIST_ALL), rendering.language(request)
    noting = may(place, login, Action.NOTE, facts_of(connection, row))
    shown, following = notes.page(connection, row, after=after) if noting else ((), None)
    offered = {str(use): answers.offered(place.notice, use, language) for use in AnswerUse}
    return {
        "assigns": assigns,
        "colleagues": colleagues.listed(connection) if assigns else (),
        "noting": noting and row["erased_at"] is None,
        "notes": shown,
        "following_notes": following,
        "note_reasons": list(notes.DeletionReason),
        "answers": offered,
    }
