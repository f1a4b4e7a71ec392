"""`/staff/inbox`: what other providers have sent: from whom, about whom, what would change; import, refuse, undo.

Values of records are shown as text only. No page of the archive, such as its viewer, is ever opened here.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability.api.errors import BadInput
from portability.inbox import decisions, differences, received, senders
from portability.inbox.decisions import ConflictRule
from portability.inbox.states import RECEIVED, DeclineReason, ReceivedState
from portability.requests.policy import Action
from web import rendering
from web.api.inbox import NUMBER_MAX, found
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext

router = APIRouter(prefix="/staff/inbox", include_in_schema=False)
Short = Annotated[str, Form(max_length=250, pattern=r"^[!-~]*$")]
KINDS = ("user", "tenant", "contact", "email")


class TargetForm(BaseModel):
    """The fields of the form that says whose data it is here."""

    csrf: str = ""
    kind: Annotated[str, Field(max_length=16, pattern=r"^[a-z]*$")]
    id: Annotated[str, Field(max_length=250, pattern=r"^[!-~]*$")]
    tenant: Annotated[str, Field(max_length=250, pattern=r"^[!-~]*$")] = ""
    on_conflict: Annotated[str, Field(max_length=8)] = ConflictRule.KEEP


@router.get("")
def listed(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show the received transfers, page by page; those that await a decision come first."""
    permit(place, login, Action.INBOX)
    with place.reading() as connection:
        (rows, following), known = received.page(connection, after=cursor or None), senders.rows(connection)
    living = [row for row in known if row["removed_at"] is None]
    shown: dict[str, Any] = {"rows": rows, "following": following, "senders": living}
    return rendering.page(request, "inbox.html", **shown, is_on=place.answers is not None)


@router.get("/{received_id}")
def show(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    received_id: str,
    dataset: Annotated[str, Query(max_length=250)] = "",
    after: Annotated[int, Query(ge=0, le=NUMBER_MAX)] = 0,
) -> Response:
    """Show a received transfer, what its import would change, and the permitted actions."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, received_id)
        shown = _difference(place, connection, row, dataset, after)
        forks = received.to_undo(connection, row)
    report = row["report"] or {}
    state = ReceivedState(row["state"])
    following = RECEIVED[state].next
    can = {
        "target": ReceivedState.COMPARING in following,
        "import": ReceivedState.IMPORTING in following,
        "refuse": ReceivedState.DECLINED in following,
        "undo": ReceivedState.UNDOING in following,
    }
    return rendering.page(
        request,
        "received.html",
        row=dict(row),
        subject=received.subject_name(row),
        counted=received.COUNTED,
        lines=[line for line in report.get("datasets", []) if _counts(line)],
        left=report.get("left", []),
        undone=received.undone(row),
        forks=forks,
        works=RECEIVED[state].is_work,
        can=can,
        kinds=[row["archive_kind"]] if row["archive_kind"] in KINDS else KINDS,
        reasons=list(DeclineReason),
        rules=list(ConflictRule),
        **shown,
    )


@router.post("/{received_id}/target", dependencies=[OurForm])
def assign(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    received_id: str,
    chosen: Annotated[TargetForm, Form()],
) -> Response:
    """Say whose data it is here."""
    subject, tenant = f"{chosen.kind}:{chosen.id.strip()}", chosen.tenant.strip() or None
    with place.writing() as connection:
        row, actor = found(place, login, connection, received_id)
        of_contact = tenant if chosen.kind == "contact" else None
        company = tenant if chosen.kind == "user" else None
        permit(place, login, Action.INBOX, decisions.facts_of(subject, of_contact))
        decisions.assign(
            connection,
            row["id"],
            subject=subject,
            tenant=of_contact,
            company=company,
            on_conflict=chosen.on_conflict,
            actor=str(actor),
        )
    rendering.flash(request, "received_compares")
    return rendering.see_other(f"/staff/inbox/{received_id}")


@router.post("/{received_id}/{what}", dependencies=[OurForm])
def decide(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    received_id: str,
    what: str,
    comparison: Short = "",
    reason: Short = "",
) -> Response:
    """Import, refuse or undo; a second click changes nothing."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, received_id)
        match what:
            case "import":
                decisions.accept(connection, row["id"], comparison=comparison, actor=str(actor))
            case "refuse":
                decisions.decline(connection, row["id"], reason=reason, actor=str(actor))
            case "undo":
                decisions.undo(connection, row["id"], actor=str(actor))
            case _:
                raise BadInput(f"unknown action {what!r}: use target, import, refuse or undo")
    rendering.flash(request, "done")
    return rendering.see_other(f"/staff/inbox/{received_id}")


def _difference(place: AppContext, connection: Connection, row: RowMapping, dataset: str, after: int) -> dict[str, Any]:
    """Return the part of the difference that the page shows, and the datasets to choose from."""
    if not RECEIVED[ReceivedState(row["state"])].shows_difference:
        return {"differences": [], "following": None, "offered": {}, "dataset": ""}
    shown, following = differences.page(
        connection, place.settings.keys, row["id"], dataset=dataset or None, after=after
    )
    offered = differences.datasets(connection, row["id"])
    return {"differences": shown, "following": following, "offered": offered, "dataset": dataset}


def _counts(line: dict[str, Any]) -> bool:
    return any(line[name] for name in (*received.COUNTED, "not_imported"))
