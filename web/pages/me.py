"""`/me`: a person requests their data, follows the progress, downloads it, cancels requests and revokes links."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from portability.api import PresigningStorage, SubjectKind
from portability.api.times import rfc3339
from portability.delivery import limits, links
from portability.inbox import received
from portability.law import tenants
from portability.law.profiles import Profile
from portability.messages import outbox
from portability.requests import (
    estimates,
    exports,
    forms,
    intake,
    keeping,
    page_cursors,
    request_log,
    retries,
    reversions,
)
from portability.requests.dates import end_of_day
from portability.requests.policy import Action, ActorRole
from portability.requests.states import ONGOING, DatasetState, ExportState
from portability.schedules import intake as schedule_intake
from web import asking, rendering
from web.auth import LoggedIn, OurForm
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.pages import copy_status, download, my_schedule, my_transfers
from web.scopes import own_scope
from web.visibility import found
from web.volume_answers import VolumeNumber

router = APIRouter(prefix="/me", include_in_schema=False)
SHOWN = 20
MESSAGES = 5
"""The newest messages that the page shows at once; the others are folded."""
CHECKED = forms.default_formats(Profile.ACCESS)
"""Formats that are chosen when the page opens: those of the profile that is."""
Names = Annotated[list[str], Field(max_length=100)]
Word = Annotated[str, Field(max_length=20)]


class MyRequestForm(BaseModel):
    """The fields of the form for one's own data."""

    csrf: str = ""
    profile: Word
    include: Names = []
    formats: Names = []
    since: Word = ""
    until: Word = ""
    every: my_schedule.Every = ""
    tell_tenants: Word = ""
    """Not empty: the person agrees that companies that decide over parts of the data are informed."""


@router.get("")
def overview(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show the current or last copy, a form for another copy, and the earlier copies page by page."""
    return _overview(request, place, login, cursor)


@router.post("", dependencies=[OurForm])
def overview_again(
    request: Request, place: CurrentContext, login: LoggedIn, asked: Annotated[MyRequestForm, Form()]
) -> Response:
    """Show the page with the form as the person had filled it in; nothing is requested."""
    return _overview(request, place, login, asked=asked)


def _overview(
    request: Request, place: AppContext, login: Login, cursor: str = "", asked: MyRequestForm | None = None
) -> Response:
    with place.reading() as connection:
        rows, following = _my_exports(connection, login, cursor or None)
        current = None if cursor else _current(connection, rows)
        consents = my_transfers.consents(connection, login)
        given = my_transfers.given(connection, consents, place.settings.place.zone)
        newest = [row["id"] for row in rows]
        occasions = [*(row["id"] for row in consents), *received.of_subject(connection, login.kind, login.id)]
        sent = outbox.messages(connection, newest, occasions)[::-1]
        next_copy = estimates.typical(connection, Profile.ACCESS, login.kind, own_scope(connection, login).subject_ref)
        sizes = _parts_of_last(connection, rows)
        scheduled = my_schedule.shown(place, connection, login)
    profiles = [Profile.ACCESS, Profile.PORTABILITY, *([Profile.SWITCH] if _company(login) else [])]
    return rendering.page(
        request,
        "me.html",
        current=current,
        exports=rows,
        following=following,
        messages=sent[:SHOWN],
        messages_shown=MESSAGES,
        messages_cut=len(sent) > SHOWN,
        next_copy=next_copy,
        sizes=sizes,
        parts_offered=place.offered(login.kind),
        formats=list(dict.fromkeys(name for profile in profiles for name in forms.offered_formats(profile))),
        formats_checked=asked.formats if asked else CHECKED,
        asked=asked,
        profiles=profiles,
        latest=asking.due_at(place, login, Profile.ACCESS),
        rights=place.rights,
        has_contract=tenants.load(place.settings.tenants_file).has_contract(None),
        authorisations=given,
        **scheduled,
    )


@router.post("/exports", dependencies=[OurForm])
def ask(request: Request, place: CurrentContext, login: LoggedIn, asked: Annotated[MyRequestForm, Form()]) -> Response:
    """Request a copy of the person's own data, or of their company's."""
    whole = set(asked.include) >= set(place.offered(login.kind)) or asked.profile == Profile.SWITCH
    company = _company(login) if asked.profile == Profile.SWITCH else None
    checked = asking.wanted(
        place,
        profile=asked.profile,
        subject=f"tenant:{company}" if company else login.subject,
        include=None if whole or not asked.include else asked.include,
        formats=_formats(asked),
        since=asked.since or None,
        until=_whole_days(place, asked.until),
        tell_tenants=bool(asked.tell_tenants),
        channel="page",
    )
    wanted = replace(checked, language=rendering.language(request))
    take = schedule_intake.begin if asked.every else intake.take
    identifier, is_new, _actor = asking.accept(place, login, wanted, take=take)
    if not is_new:
        rendering.flash(request, "asked_already")
    return rendering.see_other(f"/me/exports/{identifier}")


def _whole_days(place: AppContext, until: str) -> str | None:
    """Return the end of the last day of a period that a person names in the form: that day belongs to it."""
    return rfc3339(end_of_day(until or None, "until", place.settings.place))


def _formats(asked: MyRequestForm) -> list[str] | None:
    """Return the formats that the person chose; None if they left the choice as it was: then the profile decides.

    The form has one list for all profiles, so what another profile would allow is left out.
    """
    if not asked.formats or set(asked.formats) == set(CHECKED):
        return None
    known = {name for profile in Profile for name in forms.offered_formats(profile)}
    allowed = forms.offered_formats(Profile(asked.profile)) if asked.profile in list(Profile) else known
    return [name for name in asked.formats if name in allowed or name not in known]


@router.get("/exports/{export_id}")
def show(request: Request, place: CurrentContext, login: LoggedIn, export_id: str) -> Response:
    """Show a copy: its status, its contents, and until when it is available."""
    return _shown(request, place, login, export_id)


@router.post("/exports/{export_id}", dependencies=[OurForm])
def show_again(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    export_id: str,
    asked: Annotated[my_transfers.TransferDraft, Form()],
) -> Response:
    """Show a copy with the form for a transfer as the person had filled it in; nothing is sent."""
    return _shown(request, place, login, export_id, asked)


def _shown(
    request: Request, place: AppContext, login: Login, export_id: str, asked: my_transfers.TransferDraft | None = None
) -> Response:
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_OWN)
        status, lines = copy_status.standing(connection, row), exports.ledger(connection, export_id)
        chosen = rendering.language(request)
        missing = copy_status.missing(connection, export_id, chosen) if row["state"] == ExportState.READY else []
        can_retry = bool(missing) and retries.count_fillable(connection, row) > 0
        denial = copy_status.refusal(connection, place, row, chosen)
        downloads = copy_status.downloads(connection, export_id)
        failed = reversions.last_failed(connection, row)
        sending = my_transfers.transfer_view(connection, row)
        kept_until = keeping.archive_end(connection, place.settings, row)
    waiting = [line for line in lines if line["state"] == DatasetState.NEEDS_INSTRUCTION]
    to_ask = sorted({tenant for line in waiting for tenant in line["tenants"] or ()})
    return rendering.page(
        request,
        "my_export.html",
        **status,
        groups=copy_status.groups(lines),
        tenants_to_ask=[tenants.load(place.settings.tenants_file).named(tenant) for tenant in to_ask],
        kept_until=kept_until,
        denial=denial,
        missing=missing,
        can_retry=can_retry,
        downloads=downloads,
        sent_by_storage=isinstance(place.storage, PresigningStorage),
        failed_at=failed and failed.at,
        asked=asked or my_transfers.TransferDraft(),
        staff=False,
        rights=place.rights,
        today=datetime.now(place.settings.place.zone).date(),
        **sending,
    )


@router.get("/exports/{export_id}/standing")
def standing(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    export_id: str,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the part of the page that changes, for the script that polls."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_OWN)
        status = copy_status.standing(connection, row)
    piece = rendering.text(request, "standing.html", **status, compact=False)
    return rendering.polled(piece.encode(), "text/html; charset=utf-8", if_none_match)


@router.post("/exports/{export_id}/cancel", dependencies=[OurForm])
def cancel(request: Request, place: CurrentContext, login: LoggedIn, export_id: str) -> Response:
    """Cancel an open request; if a copy was ready, only its next revision."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.CANCEL)
        reached = exports.cancel(connection, row["id"], actor=str(actor))
    rendering.flash(request, "revision_stopped" if reached is ExportState.READY else "cancelled_now")
    return rendering.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/gaps", dependencies=[OurForm])
def retry(request: Request, place: CurrentContext, login: LoggedIn, export_id: str) -> Response:
    """Read again what the copy lacks; what is found becomes its next revision."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.RETRY)
        place.limits.attempt(limits.RETRY, row["id"])
        retries.retry_gaps(connection, row["id"], actor=str(actor))
    place.wake(export_id)
    rendering.flash(request, "retried")
    return rendering.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/revoke", dependencies=[OurForm])
def revoke(request: Request, place: CurrentContext, login: LoggedIn, export_id: str) -> Response:
    """Revoke each link to a copy."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.REVOKE)
        links.revoke_all(connection, row["id"], actor=str(actor))
    rendering.flash(request, "revoked")
    return rendering.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/volumes/{number}", dependencies=[OurForm])
def fetch(place: CurrentContext, login: LoggedIn, export_id: str, number: VolumeNumber) -> Response:
    """Download a volume, by a link that is made and claimed at once and that expires with the claim."""
    settings = place.settings
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.DOWNLOAD)
        seconds = settings.link_claim_seconds
        made = links.issue(
            connection, settings.keys, row["id"], ttl_seconds=seconds, actor=str(actor), is_reported=False
        )
        link = links.resolve(connection, settings.keys, made.token)
        return download.begun(connection, place, link, made.token, number, actor=str(actor))


def _my_exports(connection: Connection, login: Login, after: str | None) -> tuple[list[RowMapping], str | None]:
    """Return requests of the person and of the company that they administer, the newest first, and the next cursor."""
    scopes = [own_scope(connection, login)]
    if company := _company(login):
        scopes.append(request_log.Scope(tenant=company, kinds=(SubjectKind.TENANT,)))
    pages = [request_log.page(connection, scope, after=after, limit=SHOWN) for scope in scopes]
    newest = sorted((row for rows, _next in pages for row in rows), key=_newness, reverse=True)
    if len(newest) <= SHOWN and not any(following for _rows, following in pages):
        return newest, None
    return newest[:SHOWN], page_cursors.encoded(*_newness(newest[SHOWN - 1]))


def _newness(row: RowMapping) -> tuple[datetime, str]:
    return row["created_at"], row["id"]


def _company(login: Login) -> str | None:
    return login.tenant if ActorRole.TENANT_ADMIN in login.roles else None


def _current(connection: Connection, rows: list[RowMapping]) -> dict[str, Any] | None:
    """Return what the page shows first: the newest open request, else the newest request."""
    chosen = next((row for row in rows if row["state"] in ONGOING), rows[0] if rows else None)
    return None if chosen is None else copy_status.standing(connection, chosen)


def _parts_of_last(connection: Connection, rows: list[RowMapping]) -> dict[str, int]:
    """Return the bytes of each part in the newest copy that is ready, before compression."""
    last = next((row["id"] for row in rows if row["state"] == ExportState.READY), None)
    parts = copy_status.groups(exports.ledger(connection, last)) if last else []
    return {part["exporter"]: part["bytes"] for part in parts if part["bytes"]}
