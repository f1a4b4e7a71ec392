"""The HTTP API `/v1/erasure-holds`: for the platform's own deletion job, whose data must not be erased now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from portability.people import subjects
from portability.requests.policy import Action
from portability.retention import erasure_holds
from web.answers import API_ANSWERS
from web.api.public_answers import HoldList
from web.api.texts import HeldSubjectName, HeldTenantId
from web.auth import Caller, permit
from web.context import CurrentContext
from web.rendering import json_answer

router = APIRouter(prefix="/v1", responses=API_ANSWERS, tags=["retention"])


@router.get("/erasure-holds", operation_id="list_erasure_holds", response_model=HoldList)
def read_holds(
    place: CurrentContext,
    login: Caller,
    subject: Annotated[HeldSubjectName | None, Query(description="Only this: `user:ID`, `contact:ID`")] = None,
    tenant: Annotated[HeldTenantId | None, Query(description="Only of this tenant; a contact needs it")] = None,
) -> Response:
    """List the subjects whose data must not be erased now, with the reasons; ask before each deletion."""
    permit(place, login, Action.ERASURE_HOLDS)
    wanted = None if subject is None else subjects.parse(subject, tenant)
    with place.reading() as connection:
        held = erasure_holds.subjects(connection, wanted, tenant=tenant)
    return json_answer({"erasure_holds": [one.view() for one in held]})
