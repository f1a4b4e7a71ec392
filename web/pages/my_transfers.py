"""`/me`: a person sends a copy to another provider, follows the transfer, and withdraws it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.law.deadlines import BusinessCalendar
from portability.law.profiles import SENDABLE
from portability.people import subject_locks, subjects
from portability.requests import exports, keeping, transfer_ends
from portability.requests.dates import end_of_day
from portability.requests.policy import Action
from portability.requests.states import TRANSFERS_LIVE, ExportState
from portability.transfers import authorisations, authorised_data, recipients, sending
from web import rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import CurrentContext
from web.logins import Login
from web.visibility import facts_of, found, own_authorisation

router = APIRouter(prefix="/me", include_in_schema=False)
Short = Annotated[str, Form(max_length=64)]
Draft = Annotated[str, Field(max_length=10_000)]


class TransferDraft(BaseModel):
    """The fields of the form for a transfer that are shown again, whatever was entered. An agreement is given anew."""

    csrf: str = ""
    recipient: Draft = ""
    until: Draft = ""


def transfer_view(connection: Connection, row: RowMapping) -> dict[str, Any]:
    """Return what the page of a copy shows of its transfers, and what the form for another one needs."""
    sendable = row["state"] == ExportState.READY and row["profile"] in SENDABLE
    parts = _parts(connection, row["id"]) if sendable else []
    fitting = [
        each
        for each in (recipients.rows(connection, approved_only=True) if sendable else ())
        if all(recipients.covers(each["datasets"], *name.split("/")) for name in parts)
    ]
    return {
        "transfers": [_shown(connection, each) for each in sending.of(connection, row["id"])],
        "recipients": fitting,
        "parts_sent": sorted({name.partition("/")[0] for name in parts}),
    }


def consents(connection: Connection, login: Login) -> Sequence[RowMapping]:
    """Return the person's authorisations, also ended authorisations, the newest first."""
    return authorisations.of(connection, subjects.pairwise_ref(connection, login.kind, login.id, None))


def given(connection: Connection, rows: Sequence[RowMapping], zone: tzinfo) -> list[dict[str, Any]]:
    """Return the authorisations that the person has given and not withdrawn, with their parts and their last day.

    Those that a provider did not use in time are shown as expired: they can be given again. The person chose a day of
    the place's calendar: it is shown as that day, wherever the person reads it.
    """
    shown = (row for row in rows if row["lasts"] or row["lapsed"] or _lives(connection, row))
    return [
        {
            **row,
            "parts": sorted({name.partition("/")[0] for name in row["datasets"]}),
            "last_day": row["expires_at"] and row["expires_at"].astimezone(zone),
        }
        for row in shown
    ]


@router.post("/exports/{export_id}/transfers", dependencies=[OurForm])
def send(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    export_id: str,
    recipient: Short,
    agreed: Annotated[str, Form(max_length=8)] = "",
    until: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Authorise the transfer of the copy's contents to a recipient, and send them."""
    if agreed != "yes":
        raise BadInput("the person has not agreed to the transfer: tick the box")
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEND)
        facts = facts_of(connection, row)
        permit(place, login, Action.AUTHORISE, facts, export_id=row["id"], confirmed=Action.SEND)
        subject_locks.lock(connection, subject_locks.name_of_row(row))  # before the export, as an erasure does
        exports.lock(connection, row["id"])  # before the log, which the consent is written to
        authorisations.give(
            connection,
            subject=f"{row['subject_kind']}:{row['subject_id']}",
            tenant=row["tenant"] if row["subject_kind"] == SubjectKind.CONTACT else None,
            recipient=recipient,
            datasets=_parts(connection, row["id"]),
            until=_end_of(until, place.settings.place),
            actor=actor,
            exporters=place.exporters,
        )
        sending.start(connection, place.settings, row["id"], recipient, actor=actor)
    place.wake(export_id)
    rendering.flash(request, "sent_now")
    return rendering.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/transfers/{transfer_id}/revoke", dependencies=[OurForm])
def take_back(request: Request, place: CurrentContext, login: LoggedIn, export_id: str, transfer_id: str) -> Response:
    """Withdraw a transfer together with its authorisation."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEND)
        sent = sending.get(connection, transfer_id)
        if sent["export_id"] != row["id"]:
            raise sending.UnknownTransfer(f"no transfer has the id {transfer_id!r}")
        authorisations.revoke(connection, sent["authorisation_id"], actor=str(actor))
    rendering.flash(request, "taken_back")
    return rendering.see_other(f"/me/exports/{export_id}")


@router.post("/authorisations/{authorisation_id}/confirm", dependencies=[OurForm])
def confirm(request: Request, place: CurrentContext, login: LoggedIn, authorisation_id: str) -> Response:
    """Confirm an authorisation that another person has recorded."""
    with place.writing() as connection:
        actor = own_authorisation(place, login, connection, authorisation_id)
        authorisations.confirm(connection, authorisation_id, actor=actor)
    rendering.flash(request, "done")
    return rendering.see_other("/me")


@router.post("/authorisations/{authorisation_id}/revoke", dependencies=[OurForm])
def withdraw(request: Request, place: CurrentContext, login: LoggedIn, authorisation_id: str) -> Response:
    """Withdraw an authorisation."""
    with place.writing() as connection:
        actor = own_authorisation(place, login, connection, authorisation_id)
        authorisations.revoke(connection, authorisation_id, actor=str(actor))
    rendering.flash(request, "taken_back")
    return rendering.see_other("/me")


def _shown(connection: Connection, row: RowMapping) -> dict[str, Any]:
    steps = [
        {"what": step["what"], "at": datetime.fromisoformat(str(step["at"]))}
        for step in sending.timeline(connection, row)
    ]
    tell, badge = transfer_ends.of(connection, row) or row["state"], transfer_ends.shown_state(connection, row)
    until = row["expires_at"] if row["state"] in keeping.UNREACHED else None
    shown = {"steps": steps, "tell": tell, "badge": badge, "stoppable": row["state"] in TRANSFERS_LIVE, "until": until}
    return {**sending.view(connection, row), **shown}


def _parts(connection: Connection, export_id: str) -> list[str]:
    return [f"{exporter}/{dataset}" for exporter, dataset in authorised_data.holdings(connection, export_id)]


def _lives(connection: Connection, row: RowMapping) -> bool:
    """Return whether a used authorisation has a transfer under way that can be withdrawn."""
    return row["revoked_at"] is None and sending.is_under_way(connection, row["id"])


def _end_of(day: str, place: BusinessCalendar) -> datetime | None:
    """Return the last moment of a day of the place; None without a day: the authorisation is for one transfer.

    Raises: BadDate.
    """
    end = end_of_day(day or None, "until", place)
    return end and end - timedelta(microseconds=1)
