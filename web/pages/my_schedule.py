"""`/me/schedule`: copies that a person has asked for in advance: their dates, and stopping them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from portability.api import SubjectKind
from portability.requests.policy import Action, Facts
from portability.schedules import schedules
from portability.schedules.schedules import EndReason
from web import rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext
from web.logins import Login

router = APIRouter(prefix="/me/schedule", include_in_schema=False)
Every: TypeAlias = Literal["", "two_months"]
"""How often a form asks for a copy; empty: once."""


def shown(place: AppContext, connection: Connection, login: Login) -> dict[str, Any]:
    """Return what the person's page shows of their schedule, and whether its form offers one."""
    has_account = login.kind is SubjectKind.USER
    row = schedules.standing(connection, (login.kind, login.id, None)) if has_account else None
    dates: dict[str, datetime] = {}
    if row is not None:
        dates = {"next": row["next_at"], "last": schedules.last_date(row["created_at"], place.settings.place.zone)}
    return {"schedule": dates, "can_schedule": has_account and row is None}


@router.post("/stop", dependencies=[OurForm])
def stop(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """Stop the person's scheduled copies; copies that were requested are not changed."""
    with place.writing() as connection:
        row = schedules.standing(connection, (login.kind, login.id, None))
        if row is not None:
            facts = Facts(row["subject_kind"], row["subject_id"], row["tenant"])
            actor = permit(place, login, Action.CANCEL, facts)
            schedules.end(connection, row, EndReason.STOPPED, actor=str(actor))
    rendering.flash(request, "done")
    return rendering.see_other("/me")
