"""The HTTP API, `/v1`: exports, links and the request log. OpenAPI is its documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints
from sqlalchemy import RowMapping

from portability.api import JSON
from portability.api.times import rfc3339
from portability.delivery import links
from portability.errors import UnknownExport, UnknownLink
from portability.requests import acceptance, approvals, exports, request_log, retries
from portability.requests.policy import Action
from portability.requests.states import ExportState
from portability.retention import recalls
from web import asking, rendering
from web.answers import API_ANSWERS, problem_answers
from web.api.strict_bodies import Body, StrictRoute
from web.auth import Caller, permit
from web.context import CurrentContext
from web.rendering import json_answer
from web.scopes import listing_scope
from web.visibility import facts_of, found, shown

router = APIRouter(prefix="/v1", route_class=StrictRoute, responses=API_ANSWERS, tags=["exports"])

Word = Annotated[str, StringConstraints(max_length=250, pattern=r"^[!-~]+$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
"""Free text for people: without control characters except tab and line feed."""
ExportId = Annotated[str, Field(max_length=64, description="The export's id")]
LinkId = Annotated[str, Field(max_length=64, pattern=r"^lnk_[0-9a-f]{20}$", description="The link's id")]


class ExportRequestBody(Body):
    """A request for an export."""

    profile: Word = Field(description="`access`, `portability` or `switch`")
    subject: Word = Field(
        description="`user:ID`, `contact:ID`, `tenant:ID`, `email:ADDRESS` or `phone:NUMBER`",
        examples=["user:usr_000001"],
    )
    tenant: Word | None = Field(None, description="The contact's tenant")
    include: Annotated[list[Word], Field(max_length=100)] | None = Field(None, description="Exporters; default: all")
    formats: Annotated[list[Word], Field(max_length=20)] | None = Field(None, description="Default: all")
    since: Word | None = Field(None, description="Only records from then on: a date or an RFC 3339 time")
    until: Word | None = Field(None, description="Only records before then")
    require_complete: bool = Field(default=False, description="Fail rather than deliver an archive with gaps")
    reason: Sentence | None = Field(None, description="Reason, required if the caller is not the subject")
    channel: Word = Field("api", description="How the request was received")
    received_at: Word | None = Field(None, description="When it was received, if earlier")
    notice_ends_at: Word | None = Field(None, description="For `switch`: when the company's notice period ends")
    residence: Word | None = Field(None, description="The subject's country, if known: it selects the laws that apply")
    tell_tenants: bool = Field(
        default=False, description="The person agrees that tenants that decide over parts of the data are informed"
    )
    mandate: Word | None = Field(None, description="Id of the mandate to act for the subject")


class Reasoned(Body):
    """A reason that the person may read."""

    reason: Sentence


class Denied(Reasoned):
    """A reason and its legal ground."""

    basis: Word = Field("other", description="For the request log: `identity`, `authority`, `unfounded` ...")


class Retried(Body):
    """What to retry."""

    gaps: bool = Field(default=False, description="Fetch the missing data of a ready export, as its next revision")


class Linked(Body):
    """The properties of a new link."""

    expires_seconds: int | None = Field(None, ge=60, le=links.TTL_MAX_SECONDS, description="Default: LINK_TTL_SECONDS")


@router.post(
    "/exports",
    status_code=201,
    responses={200: {"description": "The same request is open already: this is its export"}},
    response_model=None,
)
def ask(
    place: CurrentContext,
    login: Caller,
    asked: ExportRequestBody,
    idempotency_key: Annotated[str | None, Header(max_length=255, description="Valid for a day")] = None,
) -> Response:
    """Request an export. If the same request is open already, the answer is its export."""
    given = asked.model_dump(exclude_none=True)
    formats: Sequence[str] = given.pop("formats", acceptance.DEFAULT_FORMATS)
    mandate_id = given.pop("mandate", None)
    wanted = asking.wanted(place, formats=formats, **given)
    body = orjson.dumps(asked.model_dump())
    identifier, is_new, actor = asking.accept(
        place, login, wanted, mandate_id=mandate_id, key=idempotency_key, body=body
    )
    with place.reading() as connection:
        seen = shown(connection, actor, exports.get(connection, identifier))
    return json_answer(seen, 201 if is_new else 200, headers={"Location": f"/v1/exports/{identifier}"})


@router.get("/exports", response_model=None)
def list_exports(
    place: CurrentContext,
    login: Caller,
    state: Annotated[ExportState | None, Query(description="Only exports in this state")] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many")] = 50,
) -> Response:
    """List exports that the caller may see, the newest first."""
    with place.reading() as connection:
        scope = listing_scope(place, connection, login)
        states = None if state is None else (state,)
        rows, following = request_log.page(connection, scope, states=states, after=cursor, limit=limit)
    return json_answer({"exports": [_line(row) for row in rows], "next": following})


@router.get("/exports/{export_id}", responses={304: {"description": "Nothing has changed"}}, response_model=None)
def show(
    place: CurrentContext, login: Caller, export_id: ExportId, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Show an export. Poll with `If-None-Match`."""
    with place.reading() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEE_STATE)
        seen = shown(connection, actor, row)
    return rendering.polled(orjson.dumps(seen), rendering.JSON_TYPE, if_none_match)


@router.post("/exports/{export_id}/cancel", responses=problem_answers(409), response_model=None)
def cancel(place: CurrentContext, login: Caller, export_id: ExportId) -> Response:
    """Cancel an open export; a running export ends at its workers' next checkpoint. A second call is not an error."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.CANCEL)
        exports.cancel(connection, row["id"], actor=str(actor))
        return json_answer(shown(connection, actor, exports.get(connection, export_id)))


@router.post("/exports/{export_id}/approve", responses=problem_answers(409), response_model=None)
def approve(place: CurrentContext, login: Caller, export_id: ExportId) -> Response:
    """Approve a request that awaits approval (not your own)."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.APPROVE)
        approvals.approve(connection, row["id"], actor=actor)
        seen = shown(connection, actor, exports.get(connection, export_id))
    place.wake(export_id)
    return json_answer(seen)


@router.post("/exports/{export_id}/deny", responses=problem_answers(409), response_model=None)
def deny(place: CurrentContext, login: Caller, export_id: ExportId, why: Denied) -> Response:
    """Refuse a request. The person is informed of the reason and their remedies (GDPR Art. 12(4))."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.DENY)
        approvals.deny(connection, row["id"], reason=why.reason, actor=actor, basis=why.basis)
        return json_answer(shown(connection, actor, exports.get(connection, export_id)))


@router.post("/exports/{export_id}/recall", responses=problem_answers(409), response_model=None)
def recall(place: CurrentContext, login: Caller, export_id: ExportId, why: Reasoned) -> Response:
    """Recall an archive that reached the wrong person: revoke links, delete objects, open a breach record (R48)."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.RECALL)
        recalls.recall(connection, row["id"], reason=why.reason, actor=str(actor))
        return json_answer(shown(connection, actor, exports.get(connection, export_id)))


@router.post("/exports/{export_id}/retry", responses=problem_answers(409), response_model=None)
def retry(place: CurrentContext, login: Caller, export_id: ExportId, what: Retried | None = None) -> Response:
    """Retry a failed export, or fetch the missing data of a ready one."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.RETRY)
        if what is not None and what.gaps:
            retries.retry_gaps(connection, row["id"], actor=str(actor))
        else:
            retries.retry(connection, row["id"], actor=str(actor))
        seen = shown(connection, actor, exports.get(connection, export_id))
    place.wake(export_id)
    return json_answer(seen)


@router.post("/exports/{export_id}/links", status_code=201, responses=problem_answers(409), response_model=None)
def link(place: CurrentContext, login: Caller, export_id: ExportId, wanted: Linked | None = None) -> Response:
    """Create a download link. Only this answer contains its address. Staff cannot create links."""
    settings = place.settings
    seconds = (wanted.expires_seconds if wanted else None) or settings.link_ttl_seconds
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.LINK)
        made = links.issue(connection, settings.keys, row["id"], ttl_seconds=seconds, actor=str(actor))
    created = {"id": made.id, "audience": str(made.audience), "expires_at": rfc3339(made.expires_at)}
    return json_answer({**created, "url": made.url(settings.base_url)}, 201)


@router.delete("/links/{link_id}", status_code=204, tags=["links"])
def revoke(place: CurrentContext, login: Caller, link_id: LinkId) -> Response:
    """Revoke a link at once, and stop the downloads that use it."""
    with place.writing() as connection:
        row = links.get(connection, link_id)
        export = exports.get(connection, row["export_id"])
        try:
            actor = permit(place, login, Action.REVOKE, facts_of(connection, export))
        except UnknownExport:
            raise UnknownLink(f"no link has the id {link_id!r}") from None
        links.revoke(connection, link_id, actor=str(actor))
    return Response(status_code=204)


@router.get("/requests", tags=["log"], response_model=None, responses={200: {"content": {"text/csv": {}}}})
def read_log(
    request: Request,
    place: CurrentContext,
    login: Caller,
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format", description="Or `Accept: text/csv`")] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many")] = 200,
) -> Response:
    """Read the request log: all requests, the newest first, without ids of people (CCPA regulation 7101)."""
    permit(place, login, Action.REQUESTS_READ)
    with place.reading() as connection:
        rows, following = request_log.page(connection, request_log.Scope(), after=cursor, limit=limit)
    if form == "csv" or (form is None and "text/csv" in request.headers.get("accept", "")):
        headers = {"Content-Disposition": 'attachment; filename="requests.csv"'}
        if following:
            headers["Link"] = f'</v1/requests?format=csv&cursor={following}>; rel="next"'
        return Response(request_log.table(rows), 200, headers, "text/csv; charset=utf-8")
    return json_answer({"requests": [request_log.document(row) for row in rows], "next": following})


def _line(row: RowMapping) -> dict[str, JSON]:
    names = ("id", "state", "complete", "profile", "subject_kind", "error_code")
    times = ("received_at", "due_at", "ended_at")
    fields: dict[str, JSON] = {name: row[name] for name in names}
    return {**fields, "subject": row["subject_ref"], **{name: rfc3339(row[name]) for name in times}}
