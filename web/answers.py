"""Error answers that OpenAPI documents for a route: each is a problem (RFC 9457)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"

MEANINGS = {
    400: "The input is not valid",
    401: "Not logged in, or the login is not strong and fresh enough: see `WWW-Authenticate` (RFC 9470)",
    403: "The role does not permit this",
    404: "It does not exist, or you have no access to it",
    409: "Its state does not allow this",
    413: "The body is larger than 64 KiB",
    415: "The body is not JSON",
    422: "The request does not have the documented shape",
    429: "Too many requests: see `Retry-After`",
    503: "A part of the system is not available: see `Retry-After`",
}


class SettingFault(BaseModel):
    """A place where a request does not have the documented shape."""

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
    faults: list[SettingFault] | None = None


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems of a route, in the form that FastAPI documents them."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": MEANINGS[status], "content": {MEDIA_TYPE: schema}} for status in statuses}


API_ANSWERS = problem_answers(400, 401, 403, 404, 413, 415, 422, 429, 503)
