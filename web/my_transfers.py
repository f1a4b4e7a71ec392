"""`/me`: a person sends a copy to another provider, sees how far it is, and takes it back."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy import Connection, RowMapping

from portability import authorisations, exports, recipients, subjects, transfers
from portability.api import SubjectKind
from portability.authorisations import UnknownAuthorisation
from portability.errors import BadDate, BadInput, UnknownExport
from portability.policy import Action, Facts
from portability.states import TRANSFER_LIVE, ExportState
from web import pages
from web.auth import LoggedIn, Login, OurForm, permit
from web.place import Here
from web.seen import facts_of, found

router = APIRouter(prefix="/me", include_in_schema=False)
Short = Annotated[str, Form(max_length=64)]


def told(connection: Connection, row: RowMapping) -> dict[str, Any]:
    """What the page of one copy shows of its transfers, and the form for another."""
    sendable = row["state"] == ExportState.READY and row["profile"] in transfers.SENDABLE
    parts = _parts(connection, row["id"]) if sendable else []
    fitting = [
        each
        for each in (recipients.rows(connection, approved_only=True) if sendable else ())
        if all(recipients.covers(each["datasets"], *name.split("/")) for name in parts)
    ]
    return {
        "transfers": [_shown(connection, each) for each in transfers.of(connection, row["id"])],
        "recipients": fitting,
        "parts_sent": sorted({name.partition("/")[0] for name in parts}),
    }


def given(connection: Connection, login: Login) -> list[RowMapping]:
    """What the person has authorised and not taken back, the newest first."""
    ref = subjects.pairwise_ref(connection, SubjectKind.USER, login.id, None)
    return [row for row in authorisations.of(connection, ref) if row["stands"] or _lives(connection, row)]


@router.post("/exports/{export_id}/transfers", dependencies=[OurForm])
def send(
    request: Request,
    place: Here,
    login: LoggedIn,
    export_id: str,
    recipient: Short,
    agreed: Annotated[str, Form(max_length=8)] = "",
    until: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Authorise what the copy holds to go to a recipient, and send it."""
    if agreed != "yes":
        raise BadInput("nothing is sent without the person's own yes")
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEND)
        permit(place, login, Action.AUTHORISE, facts_of(connection, row))
        exports.lock(connection, row["id"])  # before the log, which the consent is written to
        authorisations.give(
            connection,
            subject=f"{row['subject_kind']}:{row['subject_id']}",
            tenant=row["tenant"] if row["subject_kind"] == SubjectKind.CONTACT else None,
            recipient=recipient,
            datasets=_parts(connection, row["id"]),
            until=_end_of(until),
            actor=actor,
        )
        transfers.start(connection, place.settings, row["id"], recipient, actor=str(actor))
    place.wake(export_id)
    pages.flash(request, "sent_now")
    return pages.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/transfers/{transfer_id}/revoke", dependencies=[OurForm])
def take_back(request: Request, place: Here, login: LoggedIn, export_id: str, transfer_id: str) -> Response:
    """Take one back, with what it rests on."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEND)
        sent = transfers.get(connection, transfer_id)
        if sent["export_id"] != row["id"]:
            raise transfers.UnknownTransfer(f"no transfer has the id {transfer_id!r}")
        authorisations.revoke(connection, sent["authorisation_id"], actor=str(actor))
    pages.flash(request, "taken_back")
    return pages.see_other(f"/me/exports/{export_id}")


@router.post("/authorisations/{authorisation_id}/revoke", dependencies=[OurForm])
def withdraw(request: Request, place: Here, login: LoggedIn, authorisation_id: str) -> Response:
    """Take an authorisation back."""
    with place.writing() as connection:
        row = authorisations.get(connection, authorisation_id)
        facts = Facts(row["subject_kind"], row["subject_id"], row["tenant"])
        try:
            actor = permit(place, login, Action.AUTHORISE, facts)
        except UnknownExport:
            raise UnknownAuthorisation(f"no authorisation has the id {authorisation_id!r}") from None
        authorisations.revoke(connection, authorisation_id, actor=str(actor))
    pages.flash(request, "taken_back")
    return pages.see_other("/me")


def _shown(connection: Connection, row: RowMapping) -> dict[str, Any]:
    steps = [
        {"what": step["what"], "at": datetime.fromisoformat(str(step["at"]))}
        for step in transfers.timeline(connection, row)
    ]
    return {**transfers.view(connection, row), "steps": steps, "stoppable": row["state"] in TRANSFER_LIVE}


def _parts(connection: Connection, export_id: str) -> list[str]:
    return [f"{exporter}/{dataset}" for exporter, dataset in authorisations.holdings(connection, export_id)]


def _lives(connection: Connection, row: RowMapping) -> bool:
    """Whether one that is used up has something under way that can be taken back."""
    return row["revoked_at"] is None and transfers.is_under_way(connection, row["id"])


def _end_of(day: str) -> datetime | None:
    """The end of a day; empty: for one transfer."""
    if not day:
        return None
    try:
        return datetime.combine(datetime.fromisoformat(day).date(), time.max, UTC)
    except ValueError:
        raise BadDate("that is no date") from None
