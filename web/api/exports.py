"""The HTTP API, `/v1`: exports, links and the request log. OpenAPI is its documentation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import RowMapping

from portability.api import JSON
from portability.api.times import rfc3339
from portability.delivery import limits, links
from portability.errors import UnknownExport, UnknownLink
from portability.law.profiles import Profile
from portability.requests import approvals, exports, keeping, request_log, retries
from portability.requests.approvals import DenialBasis
from portability.requests.policy import Action
from portability.requests.states import ExportState
from portability.retention import recalls
from web import asking, rendering
from web.answers import API_ANSWERS, UNCHANGED, problem_answers
from web.api import texts
from web.api.export_answers import ExportPage, NewLinkAnswer, RequestPage, ShownExport
from web.api.strict_bodies import Body, StrictRoute
from web.api.texts import Cursor, ExportId, LinkId, Sentence, Word, enum_of
from web.auth import Caller, permit
from web.context import CurrentContext
from web.rendering import json_answer
from web.scopes import listing_scope
from web.visibility import facts_of, found, shown

router = APIRouter(prefix="/v1", route_class=StrictRoute, responses=API_ANSWERS, tags=["exports"])

SHOWN: dict[str, Any] = {"response_model": ShownExport}
AT_LEAST_ONE = texts.documented(minItems=1)
CHANGED: dict[str, Any] = {**SHOWN, "responses": problem_answers(409)}


class ExportRequestBody(Body):
    """A request for an export."""

    profile: Annotated[Word, enum_of(Profile)] = Field(description="The right under which the export is made")
    subject: texts.Subject = Field(
        description="`user:ID`, `contact:ID`, `tenant:ID`, `email:ADDRESS` or `phone:NUMBER`",
        examples=["user:usr_000001"],
    )
    tenant: texts.TenantId | None = Field(None, description="The contact's tenant")
    include: Annotated[list[texts.ExporterName], Field(max_length=100), AT_LEAST_ONE] | None = Field(
        None, description="Exporters; default: all"
    )
    formats: Annotated[list[texts.FormatName], Field(max_length=20), AT_LEAST_ONE] | None = Field(
        None, description="Default: those of the profile"
    )
    since: texts.DayOrTime | None = Field(None, description="Only records from then on: a date or an RFC 3339 time")
    until: texts.DayOrTime | None = Field(None, description="Only records before then")
    require_complete: bool = Field(default=False, description="Fail rather than deliver an archive with gaps")
    reason: Sentence | None = Field(None, description="Reason, required if the caller is not the subject")
    channel: texts.ChannelName = Field("api", description="How the request was received")
    received_at: texts.DayOrTime | None = Field(None, description="When it was received, if earlier")
    notice_ends_at: texts.DayOrTime | None = Field(
        None, description="For `switch`: when the company's notice period ends"
    )
    residence: texts.AnyCountry | None = Field(
        None, description="The subject's country, if known: it selects the laws that apply"
    )
    tell_tenants: bool = Field(
        default=False, description="The person agrees that tenants that decide over parts of the data are informed"
    )
    mandate: texts.MandateId | None = Field(None, description="Id of the mandate to act for the subject")


class ReasonBody(Body):
    """A reason that the person may read."""

    reason: Sentence


class DenialBody(ReasonBody):
    """A reason and its legal ground."""

    basis: Annotated[Word, enum_of(DenialBasis)] = Field("other", description="The rule, for the request log")


class RetryBody(Body):
    """What to retry."""

    gaps: bool = Field(default=False, description="Fetch the missing data of a ready export, as its next revision")


class LinkBody(Body):
    """The properties of a new link."""

    expires_seconds: int | None = Field(None, ge=60, le=links.TTL_MAX_SECONDS, description="Default: LINK_TTL_SECONDS")


@router.post(
    "/exports",
    status_code=201,
    operation_id="create_export",
    responses={
        200: {"model": ShownExport, "description": "The same request is open already: this is its export"},
        **problem_answers(409),
    },
    **SHOWN,
)
def ask(
    place: CurrentContext,
    login: Caller,
    asked: ExportRequestBody,
    idempotency_key: Annotated[texts.IdempotencyKey | None, Header(description="Valid for a day")] = None,
) -> Response:
    """Request an export. If the same request is open already, the answer is its export."""
    given = asked.model_dump(exclude_none=True)
    mandate_id = given.pop("mandate", None)
    wanted = asking.wanted(place, **given)
    body = orjson.dumps(asked.model_dump())
    identifier, is_new, actor = asking.accept(
        place, login, wanted, mandate_id=mandate_id, key=idempotency_key, body=body
    )
    with place.reading() as connection:
        seen = shown(connection, actor, exports.get(connection, identifier))
    return json_answer(seen, 201 if is_new else 200, headers={"Location": f"/v1/exports/{identifier}"})


@router.get("/exports", operation_id="list_exports", response_model=ExportPage)
def list_exports(
    place: CurrentContext,
    login: Caller,
    state: Annotated[ExportState | None, Query(description="Only exports in this state")] = None,
    cursor: Annotated[Cursor | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many")] = 50,
) -> Response:
    """List exports that the caller may see, the newest first."""
    with place.reading() as connection:
        scope = listing_scope(place, connection, login)
        states = None if state is None else (state,)
        rows, following = request_log.page(connection, scope, states=states, after=cursor, limit=limit)
    return json_answer({"exports": [_line(row) for row in rows], "next": following})


@router.get("/exports/{export_id}", operation_id="show_export", responses=UNCHANGED, **SHOWN)
def show(
    place: CurrentContext,
    login: Caller,
    export_id: ExportId,
    if_none_match: Annotated[texts.EntityTags | None, Header()] = None,
) -> Response:
    """Show an export. Poll with `If-None-Match`."""
    with place.reading() as connection:
        row, actor = found(place, login, connection, export_id, Action.SEE_STATE)
        seen = shown(connection, actor, row)
    return rendering.polled(orjson.dumps(seen), rendering.JSON_TYPE, if_none_match)


@router.post("/exports/{export_id}/cancel", operation_id="cancel_export", **CHANGED)
def cancel(place: CurrentContext, login: Caller, export_id: ExportId) -> Response:
    """Cancel an open export; a running export ends at its workers' next checkpoint. A second call is not an error.

    While the next revision of an archive is made, only that ends: the export is ready again, as before.
    """
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.CANCEL)
        exports.cancel(connection, row["id"], actor=str(actor))
        return json_answer(shown(connection, actor, exports.get(connection, export_id)))


@router.post("/exports/{export_id}/approve", operation_id="approve_export", **CHANGED)
def approve(place: CurrentContext, login: Caller, export_id: ExportId) -> Response:
    """Approve a request that awaits approval (not your own)."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.APPROVE)
        approvals.approve(connection, row["id"], actor=actor)
        seen = shown(connection, actor, exports.get(connection, export_id))
    place.wake(export_id)
    return json_answer(seen)


@router.post("/exports/{export_id}/deny", operation_id="deny_export", **CHANGED)
def deny(place: CurrentContext, login: Caller, export_id: ExportId, why: DenialBody) -> Response:
    """Refuse a request. The person is informed of the reason and their remedies (GDPR Art. 12(4))."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.DENY)
        approvals.deny(connection, row["id"], reason=why.reason, actor=actor, basis=why.basis)
        return json_answer(shown(connection, actor, exports.get(connection, export_id)))


@router.post("/exports/{export_id}/recall", operation_id="recall_export", **CHANGED)
def recall(place: CurrentContext, login: Caller, export_id: ExportId, why: ReasonBody) -> Response:
    """Recall an archive that reached the wrong person: revoke links, delete objects, open a breach record (R48)."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.RECALL)
        recalls.recall(connection, row["id"], reason=why.reason, actor=str(actor))
        return json_answer(shown(connection, actor, exports.get(connection, export_id)))


@router.post("/exports/{export_id}/retry", operation_id="retry_export", **CHANGED)
def retry(place: CurrentContext, login: Caller, export_id: ExportId, what: RetryBody | None = None) -> Response:
    """Retry a failed export, or fetch the missing data of a ready one."""
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.RETRY)
        place.limits.attempt(limits.RETRY, row["id"])  # counted only for those who may: others could use it up
        if what is not None and what.gaps:
            retries.retry_gaps(connection, row["id"], actor=str(actor))
        else:
            retries.retry(connection, row["id"], actor=str(actor))
        seen = shown(connection, actor, exports.get(connection, export_id))
    place.wake(export_id)
    return json_answer(seen)


@router.post(
    "/exports/{export_id}/links",
    status_code=201,
    operation_id="create_link",
    responses=problem_answers(409),
    response_model=NewLinkAnswer,
)
def link(place: CurrentContext, login: Caller, export_id: ExportId, wanted: LinkBody | None = None) -> Response:
    """Create a download link. Only this answer contains its address. Staff cannot create links."""
    settings = place.settings
    seconds = (wanted.expires_seconds if wanted else None) or settings.link_ttl_seconds
    with place.writing() as connection:
        row, actor = found(place, login, connection, export_id, Action.LINK)
        until = keeping.archive_end(connection, settings, row)
        made = links.issue(connection, settings.keys, row["id"], ttl_seconds=seconds, until=until, actor=str(actor))
    created = {"id": made.id, "audience": str(made.audience), "expires_at": rfc3339(made.expires_at)}
    return json_answer({**created, "url": made.url(settings.base_url)}, 201)


@router.delete("/links/{link_id}", status_code=204, operation_id="revoke_link", tags=["links"])
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


@router.get(
    "/requests",
    tags=["log"],
    operation_id="read_request_log",
    response_model=RequestPage,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string", "contentMediaType": "text/csv"}}}}},
)
def read_log(
    request: Request,
    place: CurrentContext,
    login: Caller,
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format", description="Or `Accept: text/csv`")] = None,
    cursor: Annotated[Cursor | None, Query(description="`next` of the page before")] = None,
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
