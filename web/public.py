"""What machines ask for without a login: public keys, health, metrics; and what a problem's type means."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import select

from portability import keys, metrics, models
from portability.errors import PortabilityError, all_errors
from web import pages
from web.answers import problem_answers
from web.place import Here

router = APIRouter(tags=["public"])
PUBLIC_SECONDS = 300
SHARED = {"Cache-Control": f"public, max-age={PUBLIC_SECONDS}", "Access-Control-Allow-Origin": "*"}
"""What is the same for everybody: kept for a while, and read by pages of others."""


@router.get(
    "/.well-known/jwks.json",
    response_model=None,
    responses={200: {"content": {"application/jwk-set+json": {}}}, **problem_answers(503)},
)
def jwks(place: Here) -> Response:
    """The public keys that archives are checked with (RFC 7517), retired ones too."""
    with place.reading() as connection:
        document = keys.jwks(connection)
    return pages.json_answer(document, headers=SHARED, media_type="application/jwk-set+json")


@router.get("/v1/register", response_model=None, responses=problem_answers(503))
def dataset_register(
    place: Here, if_none_match: Annotated[str | None, Header(include_in_schema=False)] = None
) -> Response:
    """Every dataset with every field, its legal basis and retention, formats and standards (Data Act Art. 26(b))."""
    answer = pages.polled(place.register, pages.JSON_TYPE, if_none_match)
    answer.headers.update(SHARED)
    return answer


@router.get("/healthz/live", response_model=None)
def live() -> Response:
    """Whether this process answers."""
    return pages.json_answer({"status": "ok"})


@router.get("/healthz", response_model=None, responses=problem_answers(503))
@router.get("/healthz/ready", response_model=None, responses=problem_answers(503))
def ready(place: Here) -> Response:
    """Whether this process can do its work: the database answers."""
    with place.reading() as connection:
        connection.execute(select(models.deployment.c.id)).one()
    return pages.json_answer({"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse, responses=problem_answers(503))
def figures(place: Here) -> Response:
    """The figures of the deployment, for Prometheus. Keep it to your own network: docs/operate.md."""
    return PlainTextResponse(metrics.exposition(metrics.collect(place.engine)), media_type=metrics.CONTENT_TYPE)


@router.get("/problems/{code}", include_in_schema=False)
def problem(request: Request, code: str) -> Response:
    """What a problem's type means: the address that every problem names (RFC 9457)."""
    known: dict[str, type[PortabilityError]] = {error.code: error for error in all_errors()}
    error = known.get(code)
    told = (error.__doc__ or "").splitlines()[0] if error else ""
    hint = error.default_hint if error else ""
    status = 200 if error else 404
    return pages.page(request, "problem.html", status=status, code=code if error else "", meaning=told, hint=hint)
