"""`/development/components`: each component of the pages in each of its states, where the development login is on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from portability import design
from portability.law.profiles import Profile
from portability.requests.states import ExportState
from web import rendering
from web.charts import chart

router = APIRouter(prefix="/development", include_in_schema=False)

TONES = {tone: tone for tone in ("accent", "good", "warn", "bad", "soft", "ink")}
"""The colours of charts; each is a series of its own here."""
MONTHS = [f"2026-{month:02}" for month in range(1, 13)]
COUNTS = (12, 30, 0, 44, 61, 58, 100, 83, 0, 22, 47, 35)


@router.get("/components")
def components(request: Request) -> Response:
    """Show the components, in the visitor's language and colour scheme."""
    return rendering.page(
        request,
        "components.html",
        states=[*ExportState],
        profiles=[*Profile],
        grounds=design.TEXT_ON,
        tones=TONES,
        columns=chart(MONTHS, {tone: [count // place for count in COUNTS] for place, tone in enumerate(TONES, 1)}),
        small=chart(MONTHS, {"accent": COUNTS}),
        empty=chart(MONTHS, {"accent": [0] * len(MONTHS)}),
        ranked=chart([*Profile], {tone: [40 // place, 9 * place, 0] for place, tone in enumerate(TONES, 1)}),
    )
