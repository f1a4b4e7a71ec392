"""The deployment's mark and the values of the design, as browsers fetch them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from web.brand import MARK_PATH, STYLE_PATH
from web.context import CurrentContext

router = APIRouter(include_in_schema=False)

FOR_LONG = {"Cache-Control": "public, max-age=2592000, immutable"}
"""Their addresses change with their content."""


@router.get(MARK_PATH)
def mark(place: CurrentContext) -> Response:
    """The mark beside the name."""
    return Response(place.brand.mark.content, media_type=place.brand.mark.media_type, headers=FOR_LONG)


@router.get(STYLE_PATH)
def style(place: CurrentContext) -> Response:
    """The values of the design, with the deployment's colours."""
    return Response(place.brand.style, media_type="text/css", headers=FOR_LONG)
