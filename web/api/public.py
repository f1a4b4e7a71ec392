"""Addresses without login: public keys, health, metrics, the dataset register, laws, the meaning of problems."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import select

from portability import metrics
from portability.api.errors import PortabilityError, all_errors
from portability.database import models
from portability.trust import keys
from web import rendering
from web.answers import problem_answers
from web.auth import NotLoggedIn
from web.context import CurrentContext

router = APIRouter(tags=["public"])
PUBLIC_SECONDS = 300
Token = Annotated[str, Header(max_length=16_384, include_in_schema=False)]
SHARED = {"Cache-Control": f"public, max-age={PUBLIC_SECONDS}", "Access-Control-Allow-Origin": "*"}
"""Headers of answers that are the same for all callers: caches keep them, and pages of other sites may read them."""


@router.get(
    "/.well-known/jwks.json",
    response_model=None,
    responses={200: {"content": {"application/jwk-set+json": {}}}, **problem_answers(503)},
)
def jwks(place: CurrentContext) -> Response:
    """Return the public keys that archives are verified with (RFC 7517), including retired keys."""
    with place.reading() as connection:
        document = keys.jwks(connection)
    return rendering.json_answer(document, headers=SHARED, media_type="application/jwk-set+json")


@router.get("/v1/register", response_model=None, responses=problem_answers(503))
def dataset_register(
    place: CurrentContext, if_none_match: Annotated[str | None, Header(include_in_schema=False)] = None
) -> Response:
    """Return all datasets and fields with legal basis, retention, formats and standards (Data Act Art. 26(b))."""
    answer = rendering.polled(place.register, rendering.JSON_TYPE, if_none_match)
    answer.headers.update(SHARED)
    return answer


@router.get("/v1/regimes", response_model=None)
def regimes(place: CurrentContext) -> Response:
    """Return the laws with deadlines that apply to this deployment, and which figures are its policy."""
    return rendering.json_answer({"regimes": [law.to_json() for law in place.settings.laws]}, headers=SHARED)


@router.get("/healthz/live", response_model=None)
def live() -> Response:
    """Return 200 if this process answers."""
    return rendering.json_answer({"status": "ok"})


@router.get("/healthz", response_model=None, responses=problem_answers(503))
@router.get("/healthz/ready", response_model=None, responses=problem_answers(503))
def ready(place: CurrentContext) -> Response:
    """Return 200 if this process can do its work: the database answers."""
    with place.reading() as connection:
        connection.execute(select(models.deployment.c.id)).one()
    return rendering.json_answer({"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse, responses=problem_answers(401, 503))
def figures(place: CurrentContext, authorization: Token = "") -> Response:
    """Return the metrics of the deployment, for Prometheus with the token of `portability metrics --token`."""
    with place.reading() as connection:
        tokens = keys.metrics_tokens(connection, place.settings.keys)
    sent = authorization.removeprefix("Bearer ").encode()
    if not any(hmac.compare_digest(token.encode(), sent) for token in tokens):
        raise NotLoggedIn("the metrics need a token", hint="`portability metrics --token` prints it")
    return PlainTextResponse(metrics.exposition(metrics.collect(place.engine)), media_type=metrics.CONTENT_TYPE)


@router.get("/problems/{code}", include_in_schema=False)
def problem(request: Request, code: str) -> Response:
    """Show what a problem's type means: `type` of each problem is this address (RFC 9457)."""
    known: dict[str, type[PortabilityError]] = {error.code: error for error in all_errors()}
    error = known.get(code)
    meaning = (error.__doc__ or "").splitlines()[0] if error else ""
    hint = error.default_hint if error else ""
    status = 200 if error else 404
    return rendering.page(
        request, "problem.html", status=status, code=code if error else "", meaning=meaning, hint=hint
    )
