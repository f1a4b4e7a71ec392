"""Error answers that OpenAPI documents for a route: each is a problem (RFC 9457)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from portability.api.errors import all_errors

MEDIA_TYPE = "application/problem+json"

TEXT_MAX = 2000
"""Characters of a problem's detail or hint; a longer one is cut."""


class HttpFault(StrEnum):
    """The codes of faults of HTTP itself. They are the same under every version of Python."""

    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_ENTITY_TOO_LARGE = "request_entity_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INTERNAL_ERROR = "internal_error"


HTTP_FAULTS = {
    400: HttpFault.BAD_REQUEST,
    404: HttpFault.NOT_FOUND,
    405: HttpFault.METHOD_NOT_ALLOWED,
    413: HttpFault.REQUEST_ENTITY_TOO_LARGE,
    415: HttpFault.UNSUPPORTED_MEDIA_TYPE,
    500: HttpFault.INTERNAL_ERROR,
}
"""The code of each status that the frameworks below answer with."""

MEANINGS = {
    400: "The input is not valid",
    401: "Not logged in, or the login is not strong and fresh enough: see `WWW-Authenticate` (RFC 9470)",
    403: "The role does not permit this",
    404: "It does not exist, or you have no access to it",
    409: "Its state does not allow this",
    413: "The body is larger than 64 KiB",
    415: "The body is not JSON",
    422: "The request does not have the documented shape",
    500: "A fault of this software: the log has it under the problem's `request_id`",
    429: "Too many requests: see `Retry-After`",
    503: "A part of the system is not available: see `Retry-After`",
}


class SettingFault(BaseModel):
    """A place where a request does not have the documented shape."""

    at: Annotated[str, Field(max_length=500)]
    detail: Annotated[str, Field(max_length=200)]


class Problem(BaseModel):
    """A problem, RFC 9457."""

    type: Annotated[str, Field(max_length=2000, json_schema_extra={"format": "uri"})]
    title: Annotated[str, Field(max_length=64)]
    status: int
    code: str = Field(
        description="Stable: docs/errors.md", json_schema_extra=lambda schema: schema.update(error_code())
    )
    detail: Annotated[str, Field(max_length=TEXT_MAX)]
    request_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    hint: Annotated[str, Field(max_length=TEXT_MAX)] = Field(default_factory=str)
    faults: list[SettingFault] = Field(default_factory=list)


def error_code() -> dict[str, Any]:
    """Return the schema of a problem's code: all codes of the errors that are loaded, those of plug-ins too."""
    return {
        "title": "ErrorCode",
        "type": "string",
        "enum": sorted({*HttpFault, *(error.code for error in all_errors())}),
    }


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems of a route, in the form that FastAPI documents them."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": MEANINGS[status], "content": {MEDIA_TYPE: schema}} for status in statuses}


API_ANSWERS = problem_answers(400, 401, 403, 404, 413, 415, 422, 429, 500, 503)
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing has changed since that `ETag`"}}
