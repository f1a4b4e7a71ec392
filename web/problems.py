"""Faults as answers: problem details (RFC 9457) for programs, a page in plain words for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from portability import authorisations, errors, outside, receipts, recipients, refusals, transfers
from portability.errors import PortabilityError
from web import auth, pages, provider
from web.answers import MEDIA_TYPE
from web.words import phrase

STATUS: dict[type[PortabilityError], int] = {
    PortabilityError: 500,
    errors.BadInput: 400,
    errors.UnknownExport: 404,
    errors.UnknownInstruction: 404,
    errors.UnknownKey: 404,
    errors.WrongState: 409,
    errors.NotAllowed: 403,
    errors.BadSetting: 500,
    errors.BadSource: 503,
    errors.DuplicatePlugin: 500,
    errors.BrokenPlugin: 500,
    errors.SourceUnavailable: 503,
    errors.StorageUnavailable: 503,
    errors.StorageFull: 503,
    errors.QueueUnavailable: 503,
    errors.DatabaseUnavailable: 503,
    errors.NoSigningKey: 503,
    refusals.UnknownLink: 404,
    refusals.LinkInvalid: 404,
    refusals.UnknownRecall: 404,
    refusals.UnknownMandate: 404,
    refusals.StepUpRequired: 401,
    refusals.MandateRefused: 403,
    refusals.TooManyAttempts: 429,
    refusals.TooManyExports: 429,
    refusals.KeyReused: 422,
    refusals.OnLegalHold: 409,
    refusals.ErasureRunning: 409,
    refusals.ExportsRunning: 409,
    refusals.UnknownHold: 404,
    outside.OutsideUnavailable: 503,
    recipients.UnknownRecipient: 404,
    authorisations.UnknownAuthorisation: 404,
    transfers.UnknownTransfer: 404,
    transfers.WrongRegion: 409,
    receipts.ForgedReceipt: 401,
    receipts.WrongReceipt: 422,
    receipts.ReceiptReplayed: 409,
    auth.NotLoggedIn: 401,
    provider.ProviderUnavailable: 503,
}
"""The nearest class of the error's tree decides; docs/api.md has this table."""

FAULT_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Vlint</title>
<meta name="viewport" content="width=device-width"><h1>{told}</h1><p><a href="/">Vlint</a> · {id}</p></html>"""

DAY_SECONDS = 86_400
RETRY_SECONDS = 5
"""When to come back after a fault that passes by itself."""

FOR_PROGRAMS = ("/v1/", "/.well-known/", "/healthz", "/metrics", "/openapi.json")


def status_of(error: type[PortabilityError]) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def handle(app: FastAPI) -> None:
    """Have the application answer every fault this way."""
    app.exception_handler(PortabilityError)(_portability_error)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(HTTPException)(_http_error)


def answer(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,  # noqa: ANN401  # extension members of a problem are any JSON
) -> Response:
    """The fault as the caller reads it best."""
    if not for_programs(request):
        return pages.fault(request, status, code, headers=headers)
    problem = {
        "type": f"{request.app.state.place.settings.base_url.rstrip('/')}/problems/{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request.scope["state"]["request_id"],
        **more,
    }
    return JSONResponse(problem, status, dict(headers or {}), MEDIA_TYPE)


def for_programs(request: Request) -> bool:
    """True for the API, and for whoever asks a page for JSON."""
    if request.url.path.startswith(FOR_PROGRAMS):
        return True
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def internal_fault(request: Request, request_id: str) -> Response:
    """For what no handler knows: no word on what it was; the log has it under this id.

    Its page is made of nothing that could have failed.
    """
    if not for_programs(request):
        return HTMLResponse(FAULT_PAGE.format(told=phrase("en", "fault_500"), id=request_id), 500)
    problem = {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "code": "internal_error",
        "detail": "something failed here; it was logged",
        "request_id": request_id,
    }
    return JSONResponse(problem, 500, None, MEDIA_TYPE)


def _portability_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PortabilityError)  # noqa: S101  # the handler is registered for no other
    status = status_of(type(error))
    headers = dict(_headers(error, status))
    # What failed in the machinery is the operator's to read, in the log.
    told = str(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else "something does not answer now"
    hint = {"hint": error.hint} if error.hint and status < HTTPStatus.INTERNAL_SERVER_ERROR else {}
    return answer(request, status, error.code, told, headers=headers, **hint)


def _headers(error: PortabilityError, status: int) -> Iterator[tuple[str, str]]:
    """What the caller does next, where a header says it."""
    match error:
        case auth.NotLoggedIn():
            yield "WWW-Authenticate", 'Bearer realm="portability"'
        case refusals.StepUpRequired():
            values = f'acr_values="{" ".join(error.acr_values)}", max_age={error.max_age}'
            yield "WWW-Authenticate", f'Bearer error="insufficient_user_authentication", {values}'
        case refusals.TooManyAttempts():
            yield "Retry-After", str(error.retry_after_seconds)
        case refusals.TooManyExports():
            yield "Retry-After", str(DAY_SECONDS)
        case _ if status == HTTPStatus.SERVICE_UNAVAILABLE:
            yield "Retry-After", str(RETRY_SECONDS)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    faults = [{"at": _pointer(fault["loc"]), "detail": str(fault["msg"])[:200]} for fault in error.errors()]
    return answer(request, 422, "bad_request", "the request does not have the documented shape", faults=faults)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    code = HTTPStatus(error.status_code).name.lower()
    return answer(request, error.status_code, code, HTTPStatus(error.status_code).phrase, headers=error.headers)


def _pointer(location: Sequence[Any]) -> str:
    """Where the fault is: `body/profile`. A name that the caller made up is cut."""
    return "/".join(str(part)[:40] for part in location)
