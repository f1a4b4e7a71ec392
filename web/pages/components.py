"""`/development/components`: each component of the pages in each of its states, where the development login is on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from portability import design
from portability.requests.states import ExportState
from web import rendering

router = APIRouter(prefix="/development", include_in_schema=False)

BARS = (12, 30, 0, 44, 61, 58, 100, 83, 0, 22, 47, 35)
"""The heights of the bars of a chart, in percent."""


@router.get("/components")
def components(request: Request) -> Response:
    """Show the components, in the visitor's language and colour scheme."""
    return rendering.page(request, "components.html", states=[*ExportState], grounds=design.TEXT_ON, bars=BARS)
