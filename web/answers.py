"""The answers that OpenAPI documents beside the good one: each is a problem (RFC 9457)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"

MEANINGS = {
    400: "Bad input",
    401: "Not logged in, or the login is not strong and fresh enough: see `WWW-Authenticate` (RFC 9470)",
    403: "The role may not do this",
    404: "Not there, or not yours",
    409: "Its state does not allow this",
    413: "Larger than 64 KiB",
    415: "Not JSON",
    422: "Not of the documented shape",
    429: "Too much: see `Retry-After`",
    503: "A part of the system does not answer now: see `Retry-After`",
}


class Fault(BaseModel):
    """Where a request has not the documented shape."""

    at: str
    detail: str


class Problem(BaseModel):
    """A problem, RFC 9457."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable: docs/errors.md")
    detail: str
    request_id: str
    hint: str | None = None
    faults: list[Fault] | None = None


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented problems of a route."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": MEANINGS[status], "content": {MEDIA_TYPE: schema}} for status in statuses}


API_ANSWERS = problem_answers(400, 401, 403, 404, 413, 415, 422, 429, 503)
