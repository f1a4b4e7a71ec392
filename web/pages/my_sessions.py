"""`/me/sessions`: where a person is logged in, and logging out there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from web import rendering, sessions
from web.auth import LoggedIn, OurForm
from web.context import CurrentContext

router = APIRouter(prefix="/me/sessions", include_in_schema=False)


@router.get("")
def listed(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """List the person's sessions, each with its device and times."""
    present = sessions.current(request, place)
    with place.reading() as connection:
        rows = sessions.listed(connection, place, login)
    return rendering.page(request, "sessions.html", rows=rows, present=present.id if present else "")


@router.post("/end", dependencies=[OurForm])
def end_all(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """Log out everywhere, here too."""
    sessions.end_of(place, login)
    request.session.clear()
    return rendering.see_other("/")


@router.post("/{session_id}/end", dependencies=[OurForm])
def end(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    session_id: Annotated[str, Path(max_length=64, pattern=r"^ses_[0-9a-f]{20}$")],
) -> Response:
    """Log out on one device. For a session of another person nothing happens."""
    sessions.end_of(place, login, session_id)
    rendering.flash(request, "done")
    return rendering.see_other("/me/sessions")
