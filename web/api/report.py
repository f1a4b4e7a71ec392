"""The HTTP API `/v1/report`: the figures of the privacy officer's report, for officers and auditors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from portability.report import figures
from portability.report.disclosure import ReportPrecision
from portability.requests.policy import Action
from web.answers import API_ANSWERS
from web.api.report_answers import OfficerReport, ReportMonth
from web.auth import Caller, permit
from web.context import CurrentContext
from web.rendering import json_answer

router = APIRouter(prefix="/v1", responses=API_ANSWERS, tags=["report"])


@router.get("/report", operation_id="read_report", response_model=OfficerReport)
def read_report(
    place: CurrentContext,
    login: Caller,
    first: Annotated[ReportMonth | None, Query(description="Default: eleven months before the last")] = None,
    last: Annotated[ReportMonth | None, Query(description="Default: the present month")] = None,
    counts: Annotated[ReportPrecision, Query(description="`rounded` names no small count")] = ReportPrecision.EXACT,
) -> Response:
    """Report requests, times to answer, refusals, breach clocks, agreements and failing sources, without any person."""
    permit(place, login, Action.REQUESTS_READ)
    with place.reading() as connection:
        found = figures.report(connection, place.settings.place.zone, first, last, counts)
    return json_answer(found.to_json())
