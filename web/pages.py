"""How pages are made: one Jinja2 environment, the visitor's language, and faults in plain words."""

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

from portability.policy import Role
from web import auth, words

HERE = Path(__file__).parent
LOCAL = re.compile(r"/(?:me|staff|d)(?:/[A-Za-z0-9._~-]+)*(?:\?[A-Za-z0-9=&._~-]*)?")
LOCAL_LENGTH = 2000
FLASH = "flash"
DESK = {Role.TENANT_ADMIN, Role.STAFF, Role.OFFICER}
AUDIT = {Role.OFFICER, Role.AUDITOR}
"""Who finds which room in the navigation; what they may do there the policy says."""
JSON_TYPE = "application/json"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip  # one call
    environment.globals["static"] = static_url
    environment.filters["size"] = words.size
    return environment


@cache
def static_url(name: str) -> str:
    """The address of a static file; it changes with the content, so that browsers may keep it for long."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def language(request: Request) -> str:
    """What the visitor has chosen, or what the browser prefers."""
    kept = request.session.get("language")
    return kept if kept in words.LANGUAGES else words.chosen(request.headers.get("accept-language", ""))


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,  # noqa: ANN401  # what a template shows is of any kind
) -> Response:
    """A whole page."""
    return HTMLResponse(text(request, template, **context), status, dict(headers or {}))


def text(request: Request, template: str, **context: Any) -> str:  # noqa: ANN401  # as above
    """A template as text."""
    spoken = language(request)
    login = auth.session_login(request, request.app.state.place)
    roles = set(login.roles) if login else set()
    shared = {
        "_": partial(words.phrase, spoken),
        "language": spoken,
        "languages": words.LANGUAGES,
        "moment": partial(words.moment, spoken),
        "date": partial(words.date, spoken),
        "span": partial(words.span, spoken),
        "now": datetime.now(UTC),
        "csrf": auth.csrf_token(request),
        "login": login,
        "rooms": {"desk": bool(roles & DESK), "audit": bool(roles & AUDIT)},
        "flash": request.session.pop(FLASH, None),
        "path": request.url.path,
    }
    return _environment().get_template(template).render({**shared, **context})


def fault(request: Request, status: int, code: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """A fault for people: what it means for them, never what the machine thinks of it."""
    if code == "not_logged_in" and request.method in auth.SAFE:
        return see_other(login_url(request.url.path))
    if code == "link_invalid":
        return page(request, "link_dead.html", status=status)
    if code == "step_up_required":
        here = request.url.path if request.method in auth.SAFE else _came_from(request)
        return page(request, "step_up.html", status=status, headers=headers, go=login_url(here, again=True))
    shown = "fault_form" if code == "forged_form" else f"fault_{status}"
    if shown not in words.PHRASES["en"]:
        shown = "fault_500" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "fault_400"
    request_id = request.scope["state"]["request_id"]
    return page(request, "fault.html", status=status, headers=headers, told=shown, request_id=request_id)


def flash(request: Request, name: str) -> None:
    """Say a phrase on the next page."""
    request.session[FLASH] = name


def see_other(url: str) -> Response:
    """Go on elsewhere with GET: reloading the next page sends nothing again."""
    return RedirectResponse(url, HTTPStatus.SEE_OTHER)


def login_url(after: str, *, again: bool = False) -> str:
    """Where to log in and then come back."""
    return f"/login?next={quote(local(after), safe='/')}{'&again=1' if again else ''}"


def local(path: str | None) -> str:
    """The path if it is one of our own pages, else /me: nobody is sent to another site (no open redirect)."""
    return path if path is not None and len(path) <= LOCAL_LENGTH and LOCAL.fullmatch(path) else "/me"


def address(request: Request) -> str:
    """Who tries, for the counters; behind a proxy uvicorn has put the client's own address here."""
    return request.client.host if request.client else ""


def _came_from(request: Request) -> str:
    """The page that the form of an address is on."""
    _, room, *rest = request.url.path.split("/")
    match room, rest:
        case (("me" | "staff"), ["exports", export_id, *_]):
            return f"/{room}/exports/{export_id}"
        case "staff", ["recipients", *_]:
            return "/staff/recipients"
        case "staff", _:
            return "/staff/new"
        case "d", [token, *_]:
            return f"/d/{token}"
        case _:
            return "/me"


def polled(content: bytes, media_type: str, if_none_match: str | None) -> Response:
    """An answer that is asked for again and again: 304 where the caller has it already (RFC 9110, 13.1.2)."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if etag in (tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    return Response(content, HTTPStatus.OK, {"ETag": etag}, media_type)


def json_answer(
    document: object, status: int = 200, *, headers: Mapping[str, str] | None = None, media_type: str = JSON_TYPE
) -> Response:
    """A document as JSON."""
    return Response(orjson.dumps(document), status, dict(headers or {}), media_type)
