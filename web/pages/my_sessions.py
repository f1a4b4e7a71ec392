"""`/me/sessions`: where a person is logged in, and logging out there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from web import rendering, sessions
from web.auth import LoggedIn, OurForm
from web.context import CurrentContext

router = APIRouter(prefix="/me/sessions", include_in_schema=False)


@router.get("")
def listed(
    request: Request, place: CurrentContext, login: LoggedIn, cursor: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """List the person's sessions page by page, each with its device and times."""
    present = sessions.current(request, place)
    with place.reading() as connection:
        rows, following = sessions.page(connection, place, login, after=cursor or None)
    here = present.id if present else ""
    return rendering.page(request, "sessions.html", rows=rows, following=following, present=here)


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
