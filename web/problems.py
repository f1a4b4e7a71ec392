"""Errors as answers: problem details (RFC 9457) for programs, a page for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy.exc import DataError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from portability import brand, errors, safe_http
from portability.api.errors import (
    BadInput,
    BadSetting,
    BrokenPlugin,
    DuplicatePlugin,
    PortabilityError,
    SourceUnavailable,
    StorageFull,
    StorageUnavailable,
)
from portability.database.history import DatabaseBehind
from portability.desk.answers import UnknownAnswer
from portability.desk.notes import UnknownNote
from portability.desk.views import UnknownView
from portability.feeds.errors import UnknownFeed
from portability.inbox import offers, received, senders
from portability.pulls import copies
from portability.pulls.refusals import PullRefused
from portability.requests.referrals import UnknownReferral
from portability.requests.reviews import UnknownReview
from portability.retention import erasures
from portability.transfers import authorisations, receipts, recipients, sending
from portability.trust.signing import ALGORITHMS, ClockSkew
from web import auth, hints, provider, rendering, sessions, words
from web.answers import HTTP_FAULTS, MEDIA_TYPE, TEXT_MAX, HttpFault
from web.head_requests import methods_of

log = structlog.get_logger()

STATUS: dict[type[PortabilityError], int] = {
    PortabilityError: 500,
    BadInput: 400,
    errors.UnknownExport: 404,
    errors.UnknownInstruction: 404,
    errors.UnknownKey: 404,
    errors.WrongState: 409,
    errors.NotAllowed: 403,
    BadSetting: 500,
    errors.BadSource: 503,
    DuplicatePlugin: 500,
    BrokenPlugin: 500,
    SourceUnavailable: 503,
    StorageUnavailable: 503,
    StorageFull: 503,
    errors.QueueUnavailable: 503,
    errors.DatabaseUnavailable: 503,
    DatabaseBehind: 503,
    errors.NoSigningKey: 503,
    errors.UnknownLink: 404,
    errors.LinkInvalid: 404,
    errors.UnknownRecall: 404,
    errors.UnknownMandate: 404,
    UnknownReview: 404,
    UnknownNote: 404,
    UnknownView: 404,
    UnknownAnswer: 404,
    UnknownReferral: 404,
    errors.StepUpRequired: 401,
    errors.MandateRefused: 403,
    errors.TooManyAttempts: 429,
    errors.TooManyExports: 429,
    errors.KeyReused: 422,
    errors.OnLegalHold: 409,
    errors.ErasureRunning: 409,
    errors.ExportsRunning: 409,
    erasures.NotDelivered: 409,
    errors.UnknownHold: 404,
    safe_http.RemoteUnavailable: 503,
    recipients.UnknownRecipient: 404,
    authorisations.UnknownAuthorisation: 404,
    sending.UnknownTransfer: 404,
    copies.UnknownPull: 404,
    UnknownFeed: 404,
    PullRefused: 400,
    sending.WrongRegion: 409,
    receipts.ForgedReceipt: 401,
    receipts.WrongReceipt: 422,
    ClockSkew: 422,
    receipts.ReceiptReplayed: 409,
    offers.ForgedWebhook: 401,
    offers.WrongOffer: 422,
    offers.NoInbox: 404,
    received.UnknownReceived: 404,
    senders.UnknownSender: 404,
    auth.NotLoggedIn: 401,
    provider.ProviderUnavailable: 503,
}
"""The status of an error is that of the nearest class in its tree; docs/api.md has this table."""

FAULT_PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{brand}</title>
<meta name="viewport" content="width=device-width"><h1>{sentence}</h1><p><a href="/">{brand}</a> · {id}</p></html>"""

DAY_SECONDS = 86_400
RETRY_SECONDS = 5
"""When a caller may retry after an error that is expected to end by itself."""

PULLS = "/v1/pulls"
FOR_PROGRAMS = ("/v1/", "/.well-known/", "/healthz", "/metrics", "/openapi.json")


def status_of(error: type[PortabilityError]) -> int:
    """Return the HTTP status of an error."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def handle(app: FastAPI) -> None:
    """Register the handlers that answer each error of the application."""
    app.exception_handler(PortabilityError)(_remembering(for_error))
    app.exception_handler(errors.StepUpRequired)(_for_step_up)
    app.exception_handler(PullRefused)(_for_refused_pull)
    app.exception_handler(RequestValidationError)(_remembering(_validation_error))
    # A value that no column takes: longer, greater, or with the character NUL.
    app.exception_handler(DataError)(_remembering(_unfit_value))
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
    """Answer an error in the form that suits the caller: a problem for programs, a page for people."""
    if not for_programs(request):
        return rendering.fault(request, status, code, headers=headers)
    problem = {
        "type": f"{request.app.state.place.settings.base_url.rstrip('/')}/problems/{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail[:TEXT_MAX],
        "request_id": request.scope["state"]["request_id"],
        **more,
    }
    return JSONResponse(problem, status, dict(headers or {}), MEDIA_TYPE)


def for_programs(request: Request) -> bool:
    """Return whether the answer is for a program: the API, and calls of pages that accept JSON but not HTML."""
    if request.url.path.startswith(FOR_PROGRAMS):
        return True
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def internal_fault(request: Request, request_id: str) -> Response:
    """Answer an exception that no handler knows, without its details; the log has them under the request id.

    The page uses no database and no template: those may be what has failed.
    """
    if not for_programs(request):
        language = words.preferred(request.headers.get("accept-language", ""))
        sentence = words.sentence(language, "fault_500")
        shown = {"language": language, "sentence": sentence, "brand": _brand(request), "id": request_id}
        return HTMLResponse(FAULT_PAGE.format_map(shown), 500)
    problem = {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "code": HttpFault.INTERNAL_ERROR,
        "detail": "an internal error occurred and was logged under this request_id: retry later",
        "request_id": request_id,
    }
    return JSONResponse(problem, 500, None, MEDIA_TYPE)


def _brand(request: Request) -> str:
    """The name for a page that is made of nothing that could have failed."""
    app = request.scope.get("app")
    return escape(app.state.place.brand.name) if app is not None else brand.NAME


def for_error(request: Request, error: Exception) -> Response:
    """Answer an error of the tree, with its status and its code."""
    assert isinstance(error, PortabilityError)  # noqa: S101  # the handler is registered for no other
    status = status_of(type(error))
    headers = dict(_headers(error, status))
    # The details of a server error are for the operator, who finds them in the log.
    is_callers = status < HTTPStatus.INTERNAL_SERVER_ERROR
    if not is_callers:
        request_id = request.scope["state"]["request_id"]
        log.warning("request.fault", request_id=request_id, code=error.code, detail=str(error))
    detail = str(error) if is_callers else "a part of the system is not available: retry later"
    said = hints.of_error(error, request.url.path) if is_callers else ""
    hint = {"hint": said[:TEXT_MAX]} if said else {}
    return answer(request, status, error.code, detail, headers=headers, **hint)


def _remembering(handler: Callable[[Request, Exception], Response]) -> Callable[..., Awaitable[Response]]:
    """Return a handler whose page knows the form that was sent: what a person has typed is not lost with an error."""

    async def remembering(request: Request, error: Exception) -> Response:
        if not for_programs(request) and request.method == "POST":
            token = (await request.form()).get(sessions.CSRF)
            is_own = auth.is_of_own_page(request, token if isinstance(token, str) else "")
            request.state.sent_fields = await _fields(request) if is_own else []
        return await run_in_threadpool(handler, request, error)

    return remembering


async def _fields(request: Request) -> list[tuple[str, str]]:
    """Return the texts of the form of a request, without its token; a request without a form has none."""
    form = await request.form() if request.method == "POST" else FormData()
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != sessions.CSRF]


async def _for_step_up(request: Request, error: Exception) -> Response:
    """Answer that a second login is required, and keep the form that the person had filled in."""
    assert isinstance(error, errors.StepUpRequired)  # noqa: S101  # as above
    if not for_programs(request):
        wanted = sessions.Wanted(error.action, error.thing, request.url.path, await _fields(request))
        await run_in_threadpool(sessions.want, request, request.app.state.place, wanted)
    return await run_in_threadpool(for_error, request, error)


def _for_refused_pull(request: Request, error: Exception) -> Response:
    """Answer a provider as the RFCs of OAuth say, and a person with a page that has the same code."""
    assert isinstance(error, PullRefused)  # noqa: S101  # as above
    noted = {"error": error.fault, "at": request.scope["route"].path.partition("/{")[0]}
    who = f"recipient:{error.recipient_id}" if error.recipient_id else "client"
    request.app.state.place.observations.note("pull.refused", who, **noted)
    if not for_programs(request):
        return rendering.page(request, "pull_refused.html", status=error.status, fault=error.fault)
    answered = {"error": error.fault, "error_description": str(error)[:TEXT_MAX]}
    if not request.url.path.startswith(PULLS):
        return JSONResponse(answered, error.status)
    # The resource answers 401 whatever is wrong with the token or the proof (RFC 9449, 7.1).
    challenge = f'DPoP error="{error.fault}", error_description="{error}", algs="{" ".join(ALGORITHMS)}"'
    return JSONResponse(answered, 401, {"WWW-Authenticate": challenge})


def _headers(error: PortabilityError, status: int) -> Iterator[tuple[str, str]]:
    """Yield the headers that say what the caller does next."""
    match error:
        case auth.NotLoggedIn():
            yield "WWW-Authenticate", 'Bearer realm="portability"'
        case errors.StepUpRequired():
            values = f'acr_values="{" ".join(error.acr_values)}", max_age={error.max_age}'
            yield "WWW-Authenticate", f'Bearer error="insufficient_user_authentication", {values}'
        case errors.TooManyAttempts():
            yield "Retry-After", str(error.retry_after_seconds)
        case errors.TooManyExports():
            yield "Retry-After", str(DAY_SECONDS)
        case _ if status == HTTPStatus.SERVICE_UNAVAILABLE:
            yield "Retry-After", str(RETRY_SECONDS)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    faults = [{"at": _pointer(fault["loc"]), "detail": str(fault["msg"])[:200]} for fault in error.errors()]
    return answer(request, 422, HttpFault.BAD_REQUEST, "the request does not have the documented shape", faults=faults)


def _unfit_value(request: Request, error: Exception) -> Response:
    # The value may come from a fault of this software: then the log is the only trace.
    log.warning("unfit value", request_id=request.scope["state"]["request_id"], error=type(error).__name__)
    return answer(
        request, 422, HttpFault.BAD_REQUEST, "a value of the request is too long, too large or cannot be stored"
    )


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(methods_of(request)))
        if request.method == "OPTIONS":
            return Response(None, HTTPStatus.NO_CONTENT, headers)
    code = HTTP_FAULTS.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    return answer(request, error.status_code, code, HTTPStatus(error.status_code).phrase, headers=headers)


def _pointer(location: Sequence[Any]) -> str:
    """Return where the fault is: `body/profile`. Names from the caller are cut to 40 characters."""
    return "/".join(str(part)[:40] for part in location)
