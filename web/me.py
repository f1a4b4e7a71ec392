"""`/me`: a person asks for their data, watches it being made, downloads it, and ends what they no longer want."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import Response
from sqlalchemy import Connection, RowMapping

from portability import approvals, exports, links, notify, request_log, requests, slices
from portability.api import SubjectKind
from portability.deadlines import kept_until
from portability.policy import Action, Role
from portability.states import UNDECIDED, DatasetState, ExportState
from web import asking, download, my_transfers, pages
from web.auth import LoggedIn, Login, OurForm
from web.place import Here, Place
from web.scopes import own_scope
from web.seen import found

router = APIRouter(prefix="/me", include_in_schema=False)
SHOWN = 20
MESSAGES = 5
TOLD_FIRST = ("pending", "partial", "refused", "needs_instruction", "redacted", "complete", "empty")
"""Of several datasets' states the one that a person wants to know of."""
Names = Annotated[list[str], Form(max_length=100)]
Day = Annotated[str, Form(max_length=10)]


@router.get("")
def mine(request: Request, place: Here, login: LoggedIn) -> Response:
    """Everything on one page: the copy that is being made or was made last, a form for another, and the past."""
    with place.reading() as connection:
        rows = _my_exports(connection, login)
        current = _current(connection, rows)
        told = [message for row in rows[:MESSAGES] for message in notify.messages(connection, row["id"])]
        given = my_transfers.given(connection, login)
    return pages.page(
        request,
        "me.html",
        current=current,
        exports=rows,
        messages=sorted(told, key=lambda each: each["created_at"], reverse=True)[:MESSAGES],
        parts_offered=place.offered,
        formats=requests.DEFAULT_FORMATS,
        profiles=["access", "portability", *(["switch"] if _company(login) else [])],
        latest=asking.due_at(place, requests.Profile.ACCESS),
        rights=place.rights,
        authorisations=given,
    )


@router.post("/exports", dependencies=[OurForm])
def ask(
    request: Request,
    place: Here,
    login: LoggedIn,
    profile: Annotated[str, Form(max_length=20)],
    include: Names = [],  # noqa: B006  # never changed; FastAPI wants the value itself
    formats: Names = [],  # noqa: B006  # as above
    since: Day = "",
    until: Day = "",
) -> Response:
    """Ask for a copy of their own data, or of their company's."""
    whole = set(include) >= set(place.offered) or profile == requests.Profile.SWITCH
    company = _company(login) if profile == requests.Profile.SWITCH else None
    wanted = asking.wanted(
        place,
        profile=profile,
        subject=f"tenant:{company}" if company else f"user:{login.id}",
        include=None if whole or not include else include,
        formats=formats or requests.DEFAULT_FORMATS,
        since=since or None,
        until=until or None,
        channel="page",
    )
    identifier, is_new, _actor = asking.accept(place, login, wanted)
    if not is_new:
        pages.flash(request, "asked_already")
    return pages.see_other(f"/me/exports/{identifier}")


@router.get("/exports/{export_id}")
def one(request: Request, place: Here, login: LoggedIn, export_id: str) -> Response:
    """One copy: where it stands, what is in it, until when."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_OWN)
        told, lines = _standing(connection, row), exports.ledger(connection, export_id)
        denial = approvals.denial(connection, export_id)
        sending = my_transfers.told(connection, row)
    waiting = [line for line in lines if line["state"] == DatasetState.NEEDS_INSTRUCTION]
    tenants = sorted({tenant for line in waiting for tenant in line["tenants"] or ()})
    return pages.page(
        request,
        "my_export.html",
        **told,
        groups=_groups(lines),
        tenants_to_ask=tenants,
        kept_until=_kept_until(place, row),
        denial=denial,
        staff=False,
        rights=place.rights,
        today=datetime.now(UTC).date(),
        **sending,
    )


@router.get("/exports/{export_id}/standing")
def standing(
    request: Request,
    place: Here,
    login: LoggedIn,
    export_id: str,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The piece of the page that changes, for the script that polls."""
    with place.reading() as connection:
        row, _actor = found(place, login, connection, export_id, Action.SEE_OWN)
        told = _standing(connection, row)
    piece = pages.text(request, "standing.html", **told, compact=False)
    return pages.polled(piece.encode(), "text/html; charset=utf-8", if_none_match)


@router.post("/exports/{export_id}/cancel", dependencies=[OurForm])
def cancel(request: Request, place: Here, login: LoggedIn, export_id: str) -> Response:
    """Stop an open one."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.CANCEL)
        exports.cancel(connection, row["id"], actor=str(actor))
    pages.flash(request, "cancelled_now")
    return pages.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/revoke", dependencies=[OurForm])
def revoke(request: Request, place: Here, login: LoggedIn, export_id: str) -> Response:
    """End every link to it."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.REVOKE)
        links.revoke_all(connection, row["id"], actor=str(actor))
    pages.flash(request, "revoked")
    return pages.see_other(f"/me/exports/{export_id}")


@router.post("/exports/{export_id}/volumes/{number}", dependencies=[OurForm])
def fetch(place: Here, login: LoggedIn, export_id: str, number: int) -> Response:
    """Download one volume: a link of their own, made and claimed at once; it ends with the download's window."""
    settings = place.settings
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.DOWNLOAD)
        made = links.issue(
            connection,
            settings.keys,
            row["id"],
            audience=links.default_audience(connection, row),
            ttl_seconds=settings.link_claim_seconds,
            actor=str(actor),
        )
        link = links.resolve(connection, settings.keys, made.token)
        return download.begun(connection, place, link, made.token, number, actor=str(actor))


def _my_exports(connection: Connection, login: Login) -> list[RowMapping]:
    rows, _next = request_log.page(connection, own_scope(connection, login), limit=SHOWN)
    found_rows = list(rows)
    if (company := _company(login)) is not None:
        theirs, _next = request_log.page(connection, request_log.Scope(tenant=company), limit=SHOWN)
        found_rows += [row for row in theirs if row["subject_kind"] == SubjectKind.TENANT]
    return sorted(found_rows, key=lambda row: row["created_at"], reverse=True)


def _company(login: Login) -> str | None:
    return login.tenant if Role.TENANT_ADMIN in login.roles else None


def _current(connection: Connection, rows: list[RowMapping]) -> dict[str, Any] | None:
    """What is told first: an open one before a finished one, the newest before older ones."""
    chosen = next((row for row in rows if row["state"] in UNDECIDED), rows[0] if rows else None)
    return None if chosen is None else _standing(connection, chosen)


def _standing(connection: Connection, row: RowMapping) -> dict[str, Any]:
    progress = exports.progress(exports.ledger(connection, row["id"]), slices.of(connection, row["id"]))
    done, of_all = progress["records"] or 0, progress["records_expected"]
    if not of_all:
        done, of_all = progress["datasets"] or 0, progress["datasets_expected"]
    volumes = exports.stored_volumes(connection, row["id"]) if row["state"] == ExportState.READY else ()
    percent = min(99, 100 * done // of_all) if of_all else 0
    return {"row": row, "view": {"progress": progress}, "percent": percent, "volumes": volumes}


def _groups(lines: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """The ledger by part: what a person asks is whether their calls are in it, not in how many tables."""
    groups: dict[str, list[RowMapping]] = {}
    for line in lines:
        groups.setdefault(line["exporter"], []).append(line)
    return [
        {
            "exporter": exporter,
            "state": min((line["state"] for line in members), key=TOLD_FIRST.index),
            "records": sum(line["records"] for line in members),
            "files": sum(line["files"] for line in members),
        }
        for exporter, members in groups.items()
    ]


def _kept_until(place: Place, row: RowMapping) -> datetime | None:
    if row["state"] != ExportState.READY or row["ended_at"] is None:
        return None
    return kept_until(row["ended_at"], place.settings.ttl_seconds(row["subject_kind"]))
