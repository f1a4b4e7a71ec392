"""`/staff/sources`: what each source stores compared with its map, its last faults, and a button to test it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from portability.coverage import state
from portability.requests.policy import Action
from portability.sources import declared_names
from web import rendering
from web.auth import LoggedIn, OurForm, may, permit
from web.context import CurrentContext

router = APIRouter(prefix="/staff/sources", include_in_schema=False)

FINDINGS_SHOWN = 50
SourceName = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


@router.get("")
def listed(request: Request, place: CurrentContext, login: LoggedIn) -> Response:
    """Show the state of each declared source."""
    permit(place, login, Action.SOURCES)
    with place.reading() as connection:
        known = {row["source"]: row for row in state.rows(connection)}
        sources = [
            {
                "name": name,
                "row": known.get(name),
                "state": state.state_of(known.get(name)),
                "tenantless": state.tenantless(known[name]) if name in known else 0,
                "findings": state.findings(known[name]) if name in known else (),
                "faults": state.recent_gaps(connection, name),
            }
            for name in declared_names(place.settings)
        ]
    tests = may(place, login, Action.TEST_SOURCE)
    most: dict[str, Any] = {"shown": FINDINGS_SHOWN, "faults_shown": state.SHOWN_GAPS}
    return rendering.page(request, "sources.html", sources=sources, tests=tests, **most)


@router.post("/{source}/test", dependencies=[OurForm])
def test(request: Request, place: CurrentContext, login: LoggedIn, source: SourceName) -> Response:
    """Ask for a check of a source. A clock makes it: this process reads no source."""
    actor = permit(place, login, Action.TEST_SOURCE)
    with place.writing() as connection:
        state.keep_only(connection, declared_names(place.settings))
        state.ask(connection, source, actor=str(actor))
    rendering.flash(request, "source_asked")
    return rendering.see_other("/staff/sources")
