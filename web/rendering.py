"""Render pages: one Jinja2 environment, the visitor's language, and error pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from portability import locale
from portability.delivery import limits
from portability.errors import DatabaseUnavailable
from portability.locale import values
from portability.locale.isolation import closed, isolated
from portability.requests import exports, outcome
from portability.requests.policy import ActorRole
from portability.requests.states import ONGOING, OPEN, WITH_CONTENTS
from web import auth, sessions, words
from web.logins import Login
from web.provider import LoginFailed

HERE = Path(__file__).parent
LOCAL = re.compile(r"/(?:me|staff|d|development|problems)(?:/[A-Za-z0-9._~-]+)*(?:\?[A-Za-z0-9=&._~-]*)?")
LOCAL_LENGTH = 2000
FLASH, ALERT = "flash", "alert"
"""Names in the session of what the next page shows: what was done, or what went wrong."""
WAIT_SECONDS = 60
"""When a visitor is asked to try again, where an answer has no header Retry-After."""
DESK = {ActorRole.TENANT_ADMIN, ActorRole.STAFF, ActorRole.OFFICER}
AUDIT = {ActorRole.OFFICER, ActorRole.AUDITOR}
"""Roles that see these parts of the navigation; the policy decides what they may do there."""
JSON_TYPE = "application/json"
_PAGES_WITH_FORMS = re.compile(
    r"/(?:me|staff)/(?:exports|pulls|inbox)/[^/]+|/staff/(?:recipients|referrals|sources)|/d/[^/]+"
    r"|/login/address|/me/sessions"
)
"""Pages that begin the addresses of their forms."""
_FORMS_OF_THE_DESK = ("/staff/bulk", "/staff/search", "/staff/views")
FORMS_SHOWN_AGAIN = {
    **dict.fromkeys(("/me/exports", "/me"), "/me"),
    **dict.fromkeys(("/staff/exports", "/staff/new"), "/staff/new"),
    **dict.fromkeys(("/staff/recipients", "/staff/recipients/draft"), "/staff/recipients/draft"),
    **dict.fromkeys(("/login/address/send", "/login/address"), "/login/address"),
}
"""By the address of a form: the page that shows it again with what was entered, when the form is sent there."""
_TRANSFER_FORM = re.compile(r"(/me/exports/[^/]+)(?:/transfers)?")
"""The same for the form of a transfer, which is part of the page of each copy."""
TEXTS = ("reason", "text")
"""Fields in which people write sentences: a page about an error gives them back."""
FORMATTERS = (values.date, values.moment, values.month, values.number, values.size, values.span, values.whole_span)
"""Each is a function of the templates, for the visitor's language."""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip  # one call
    environment.filters["isolated"] = isolated
    environment.globals |= {
        "static": static_url,
        "ONGOING": ONGOING,
        "is_cancellable": exports.is_cancellable,
        "is_revised": exports.is_revised,
        "WITH_CONTENTS": WITH_CONTENTS,
        "OPEN": OPEN,
        "is_unanswered": exports.is_unanswered,
        "answer": words.answer,
        "lacks": outcome.lacks,
    }
    return environment


def _shown(value: object) -> object:
    """Return a value as a page shows it: no text turns what follows around."""
    return closed(value) if type(value) is str else value


@cache
def static_url(name: str) -> str:
    """Return the address of a static file; it changes with the content, so that browsers may keep the file."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def language(request: Request) -> str:
    """Return the language that the visitor has chosen, else the one that the browser prefers."""
    kept = request.session.get("language")
    return kept if kept in locale.languages() else words.preferred(request.headers.get("accept-language", ""))


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,  # noqa: ANN401  # what a template shows is of any kind
) -> Response:
    """Render a page as an answer."""
    return HTMLResponse(text(request, template, **context), status, dict(headers or {}))


def text(request: Request, template: str, **context: Any) -> str:  # noqa: ANN401  # as above
    """Render a template as text."""
    chosen = language(request)
    login = _shown_login(request)
    roles = set(login.roles) if login else set()
    shared = {
        "_": partial(words.sentence, chosen),
        "label": partial(words.label, chosen),
        "source_title": partial(words.source_title, request.app.state.place.source_titles, chosen),
        "error": partial(words.error, chosen),
        "language": chosen,
        "formats_tag": values.tag(chosen),
        "languages": {each: locale.own_name(each) for each in locale.languages()},
        **{each.__name__: partial(each, chosen) for each in FORMATTERS},
        "now": datetime.now(UTC),
        "csrf": auth.csrf_token(request),
        "login": login,
        "brand": request.app.state.place.brand,
        "address_kinds": request.app.state.place.settings.address_kinds,
        "rooms": {"desk": bool(roles & DESK), "audit": bool(roles & AUDIT)},
        FLASH: request.session.pop(FLASH, None),
        ALERT: request.session.pop(ALERT, None),
        "path": request.url.path,
        "shown_at": _here(request),
    }
    return _environment().get_template(template).render({**shared, **context})


def _shown_login(request: Request) -> Login | None:
    """Return the login for the head of a page; a page about a database that is away has none."""
    try:
        return sessions.login_of(request, request.app.state.place)
    except DatabaseUnavailable:
        return None


def fault(request: Request, status: int, code: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer an error with a page that says what it means for the visitor and what to do, without its details."""
    if code == "not_logged_in" and request.method in auth.SAFE:
        return see_other(login_url(_here(request)))
    if code == "link_invalid":
        return page(request, "link_dead.html", status=status)
    if code == "step_up_required":
        here = request.url.path if request.method in auth.SAFE else _came_from(request)
        return page(request, "step_up.html", status=status, headers=headers, go=_step_up_url(request, here))
    wait_seconds = int((headers or {}).get("Retry-After", WAIT_SECONDS))
    sent: list[tuple[str, str]] = getattr(request.state, "sent_fields", [])
    again = _shows_again(request.url.path) if sent and code != "not_logged_in" else None
    return page(
        request,
        "fault.html",
        status=status,
        headers=headers,
        name=_fault_sentence(status, code),
        back=again or (None if request.method in auth.SAFE else _came_from(request)),
        logs_in=code == LoginFailed.code,
        kept=sent if again else [],
        typed=[] if again else [value for name, value in sent if name in TEXTS and value.strip()],
        when=values.ahead(language(request), wait_seconds),
        request_id=request.scope["state"]["request_id"],
    )


def _shows_again(path: str) -> str | None:
    """Return the page that shows a form again with what was entered; None if no page does."""
    of_copy = _TRANSFER_FORM.fullmatch(path)
    return of_copy[1] if of_copy else FORMS_SHOWN_AGAIN.get(path)


def _fault_sentence(status: int, code: str) -> str:
    """Return the name of the sentence for an error's code, else for its status, else for its kind of status."""
    kind = 500 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else 400
    names = (f"fault_{code}", f"fault_{status}")
    return next((name for name in names if locale.find(locale.SOURCE, f"pages.{name}")), f"fault_{kind}")


def flash(request: Request, name: str) -> None:
    """Show the sentence of a name on the next page."""
    request.session[FLASH] = name


def alert(request: Request, name: str) -> None:
    """Show the sentence of a name on the next page as an error."""
    request.session[ALERT] = name


def see_other(url: str) -> Response:
    """Redirect with status 303: reloading the next page does not send a form again."""
    return RedirectResponse(url, HTTPStatus.SEE_OTHER)


def login_url(after: str) -> str:
    """Return the address of the login that leads back to a page."""
    return f"/login?next={quote(local(after), safe='/')}"


def _step_up_url(request: Request, after: str) -> str:
    """Return the address of a second login, with the key of the form that waits for it."""
    key = getattr(request.state, sessions.FORM, "")
    return f"{login_url(after)}&again=1{f'&{sessions.FORM}={key}' if key else ''}"


def local(path: str, *, otherwise: str = "/me") -> str:
    """Return the path if it is a page of this application, else another page (no open redirect)."""
    return path if len(path) <= LOCAL_LENGTH and LOCAL.fullmatch(path) else otherwise


def _here(request: Request) -> str:
    """Return the address that shows this page again: an answer to a form has none, but the page of the form has."""
    if request.method in auth.SAFE:
        return local(f"{request.url.path}?{request.url.query}".rstrip("?"), otherwise=request.url.path)
    return _came_from(request)


def address(request: Request) -> str:
    """Return the client's address, for the counters of attempts; behind a proxy uvicorn sets it (docs/proxy.md)."""
    return limits.client(request.client.host) if request.client else ""


def _came_from(request: Request) -> str:
    """Return the page that contains the form whose address this is."""
    path = request.url.path
    if page_of_form := _PAGES_WITH_FORMS.match(path):
        return page_of_form[0]
    if path.startswith("/staff/"):
        return "/staff" if path.startswith(_FORMS_OF_THE_DESK) else "/staff/new"
    return "/me" if path.startswith("/me") else "/"


def polled(content: bytes, media_type: str, if_none_match: str | None) -> Response:
    """Answer a polling caller: 304 where it has the same content already (RFC 9110, 13.1.2)."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if etag in (tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    return Response(content, HTTPStatus.OK, {"ETag": etag}, media_type)


def json_answer(
    document: object, status: int = 200, *, headers: Mapping[str, str] | None = None, media_type: str = JSON_TYPE
) -> Response:
    """Answer with a document as JSON."""
    return Response(orjson.dumps(document), status, dict(headers or {}), media_type)
