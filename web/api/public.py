"""Addresses without login: public keys, provider document, health, metrics, register, laws, the meaning of problems."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy import select

from portability import metrics
from portability.api.errors import PortabilityError, all_errors
from portability.database import models
from portability.inbox.offers import NoInbox
from portability.transfers import provider_documents
from portability.trust import keys
from web import hints, rendering
from web.answers import UNCHANGED, problem_answers
from web.api.public_answers import HealthAnswer, KeySetAnswer, RegimeList, RegisterAnswer
from web.api.texts import EntityTags
from web.auth import NotLoggedIn
from web.context import CurrentContext

router = APIRouter(tags=["public"])
PUBLIC_SECONDS = 300
READY: dict[str, Any] = {"response_model": HealthAnswer, "responses": problem_answers(500, 503)}
Token = Annotated[str, Header(max_length=16_384, include_in_schema=False)]
SHARED = {"Cache-Control": f"public, max-age={PUBLIC_SECONDS}", "Access-Control-Allow-Origin": "*"}
"""Headers of answers that are the same for all callers: caches keep them, and pages of other sites may read them."""


class KeySetResponse(JSONResponse):
    """A JWK Set, RFC 7517."""

    media_type = "application/jwk-set+json"


@router.get(
    "/.well-known/jwks.json",
    operation_id="read_key_set",
    response_class=KeySetResponse,
    response_model=KeySetAnswer,
    responses=problem_answers(500, 503),
)
def jwks(place: CurrentContext) -> Response:
    """Return the public keys that archives are verified with (RFC 7517), including retired keys."""
    with place.reading() as connection:
        document = keys.jwks(connection)
    return rendering.json_answer(document, headers=SHARED, media_type=KeySetResponse.media_type)


# docs/transfers.md describes it: other providers read it, and a client of the API does not.
@router.get(provider_documents.PATH, include_in_schema=False)
def provider_document(place: CurrentContext) -> Response:
    """Return what other providers need to send transfers here, signed; 404 where this deployment receives none."""
    if place.answers is None:
        raise NoInbox("this deployment receives no transfers")
    return Response(place.answers.document(), media_type="application/jose", headers=SHARED)


@router.get(
    "/v1/register",
    operation_id="read_register",
    response_model=RegisterAnswer,
    responses={**UNCHANGED, **problem_answers(500, 503)},
)
def dataset_register(place: CurrentContext, if_none_match: Annotated[EntityTags | None, Header()] = None) -> Response:
    """Return all datasets and fields with legal basis, retention, formats and standards (Data Act Art. 26(b))."""
    answer = rendering.polled(place.register, rendering.JSON_TYPE, if_none_match)
    answer.headers.update(SHARED)
    return answer


@router.get("/v1/regimes", operation_id="list_regimes", response_model=RegimeList, responses=problem_answers(500))
def regimes(place: CurrentContext) -> Response:
    """Return the laws with deadlines that apply to this deployment, and which figures are its policy."""
    return rendering.json_answer({"regimes": [law.to_json() for law in place.settings.laws]}, headers=SHARED)


@router.get("/healthz/live", operation_id="check_live", response_model=HealthAnswer, responses=problem_answers(500))
def live() -> Response:
    """Return 200 if this process answers."""
    return rendering.json_answer({"status": "ok"})


@router.get("/healthz", operation_id="check_health", **READY)
@router.get("/healthz/ready", operation_id="check_ready", **READY)
def ready(place: CurrentContext) -> Response:
    """Return 200 if this process can do its work: the database answers."""
    with place.reading() as connection:
        connection.execute(select(models.deployment.c.id)).one()
    return rendering.json_answer({"status": "ok"})


@router.get(
    "/metrics",
    operation_id="read_metrics",
    response_class=PlainTextResponse,
    responses=problem_answers(401, 422, 500, 503),
)
def figures(place: CurrentContext, authorization: Token = "") -> Response:
    """Return the metrics of the deployment, for Prometheus with the token of `portability metrics --token`."""
    if not place.measures.accepts(authorization.removeprefix("Bearer ")):
        raise NotLoggedIn("the metrics need a token", hint="`portability metrics --token` prints it")
    return PlainTextResponse(place.measures.exposition(), media_type=metrics.CONTENT_TYPE)


@router.get("/problems/{code}", include_in_schema=False)
def problem(request: Request, code: str) -> Response:
    """Show what a problem's type means: `type` of each problem is this address (RFC 9457)."""
    known: dict[str, type[PortabilityError]] = {error.code: error for error in all_errors()}
    error = known.get(code)
    meaning = (error.__doc__ or "").splitlines()[0] if error else ""
    hint = hints.of_class(error) if error else ""
    status = 200 if error else 404
    return rendering.page(
        request, "problem.html", status=status, code=code if error else "", meaning=meaning, hint=hint
    )
