"""`/staff/audit`: the audit log, one line for each event, by person, day and action; and whether its chain is whole."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from portability.requests.dates import end_of_day, start_of_day
from portability.requests.policy import Action
from portability.sources import declared_names
from portability.trust import audit, audit_search
from portability.trust.audit_search import EventFilter
from portability.trust.chain_events import is_damaged
from web import rendering
from web.auth import LoggedIn, permit
from web.context import CurrentContext

router = APIRouter(prefix="/staff/audit", include_in_schema=False)

EVENT_MAX = 2**63 - 1
"""The greatest id that the database can count."""
Word = Annotated[str, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Day = Annotated[str, Query(max_length=10)]
"""As a form sends it: empty, or ISO 8601."""


@router.get("")
def log(
    request: Request,
    place: CurrentContext,
    login: LoggedIn,
    person: Word = "",
    action: Word = "",
    day: Day = "",
    before: Annotated[int, Query(ge=0, le=EVENT_MAX)] = 0,
    check: Word = "",
) -> Response:
    """Show the events that a filter finds, the newest first, and on request whether the chain is unbroken."""
    permit(place, login, Action.AUDIT_READ)
    days = place.settings.place
    since, until = start_of_day(day or None, "day", days), end_of_day(day or None, "day", days)
    wanted = EventFilter(person.strip(), action, since, until)
    with place.reading() as connection:
        events, following = audit_search.page(connection, wanted, before=before or None)
        known = audit_search.actions(connection)
        has_older = bool(wanted.person) and audit_search.has_older(connection, wanted.person)
        verdict = audit.verify(connection) if check else None
    chosen = {"person": wanted.person, "action": action, "day": day}
    return rendering.page(
        request,
        "audit.html",
        events=events,
        damaged={event["id"] for event in events if is_damaged(event)},
        actions=known,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        more=urlencode({**{name: value for name, value in chosen.items() if value}, "before": following or 0}),
        following=following,
        searched=audit_search.REQUESTS_MAX * has_older,
        verdict=verdict,
        sources=bool(declared_names(place.settings)),
    )
