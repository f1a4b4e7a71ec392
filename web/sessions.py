"""Sessions of the pages: the cookie has a random token, the database has the login (docs/pages.md)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson
from fastapi import Request
from sqlalchemy import Connection

from portability.database.engine import reading, writing
from portability.desk import colleagues
from portability.people import sessions
from portability.people.sessions import SessionEntry
from portability.requests import page_cursors
from portability.trust import audit
from web.context import AppContext
from web.logins import Login, from_claims, roles_of
from web.provider import LEEWAY_SECONDS, LOGOUT_SECONDS, NO_TOKENS, Tokens

TOKEN = "login"  # noqa: S105  # a name
"""In the cookie: the token of the session."""
CSRF = "csrf"
CACHED = "portability_session"
"""In the state of a request: its session, which is read once."""
SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Macintosh", "CrOS", "Linux")
BROWSERS = (("Firefox", "Firefox/"), ("Edge", "Edg/"), ("Chrome", "Chrome/"), ("Safari", "Safari/"))
ROLES_SECONDS = 30.0
"""How long a page may show what roles permit before they are read again; a change always reads them."""
PAGE = 50
FORM_MAX = 65_536
"""Characters of all forms that are kept during step-ups."""
WAITING_MAX = 5
"""How many forms are kept: those of the last tabs that asked for a second login."""
FORM = "form"
"""In the address of a form that waited: its key. In the state of a request: the key of the form that it has kept."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wanted to do when a second login was required, with the form that they had filled in."""

    action: str
    thing: str
    path: str
    fields: Sequence[tuple[str, str]]
    """Empty: it was not a form."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    """Which of the forms of several tabs it is."""

    @property
    def length(self) -> int:
        """Return the number of characters of the form."""
        return sum(len(name) + len(value) for name, value in self.fields)


@dataclass(frozen=True, slots=True)
class PageSession:
    """A session with what it knows."""

    id: str
    token: str
    login: Login
    id_token: str = ""
    """For the logout at the provider; empty: logged in without a provider."""
    access_token: str = ""
    """For the present roles; empty: the provider does not publish them."""
    roles_read_at: float = 0.0
    waiting: tuple[Wanted, ...] = ()
    """What waits for a second login, each in its tab, the newest last."""

    def wanted(self, key: str = "") -> Wanted | None:
        """Return what waits with a key, or the newest; None: nothing."""
        return next((one for one in reversed(self.waiting) if key in {"", one.key}), None)

    def content(self) -> bytes:
        """Return what the database keeps, encrypted."""
        kept = {"login": self.login.as_json(), "waiting": [asdict(one) for one in self.waiting]}
        names = ("id_token", "access_token", "roles_read_at")
        return orjson.dumps({**kept, **{name: getattr(self, name) for name in names}})


def begin(
    request: Request,
    place: AppContext,
    login: Login,
    tokens: Tokens = NO_TOKENS,
    *,
    again: bool = False,
    form: str = "",
) -> PageSession:
    """Begin a session with a new token. It keeps nothing of an earlier one but the language and the forms of step-ups.

    Args:
        request: of the login.
        place: the context of this process.
        login: who has logged in.
        tokens: what the provider has sent.
        again: whether it is a second login for an action that required it. If it is the same person, it counts for
            that action only: the first login stays as it was.
        form: the key of the form for which it is the second login; empty: the newest.
    """
    earlier = current(request, place)
    is_same = again and earlier and earlier.login.identity == login.identity
    waiting = earlier.waiting if earlier and is_same else ()
    if earlier and is_same and (wanted := earlier.wanted(form)):
        login = earlier.login.with_step_up(login, wanted.action, wanted.thing)
    session = PageSession("", "", login, tokens.id_token, tokens.access_token, time.time(), waiting)
    seconds = min(filter(None, (place.settings.session_seconds, login.valid_seconds)))
    with place.writing() as connection:
        if earlier:
            sessions.end(connection, place.salt, earlier.login.identity, earlier.id)
        identifier, token = sessions.begin(
            connection,
            place.salt,
            login.identity,
            session.content(),
            device=device(request.headers.get("user-agent", "")),
            address=request.client.host if request.client else "",
            seconds=seconds,
            provider_session=tokens.provider_session,
        )
        colleagues.note_login(connection, login.id, login.roles)
        _record(connection, "session.begun", login, [identifier])
    language = request.session.get("language")
    request.session.clear()
    request.session.update({TOKEN: token, CSRF: secrets.token_urlsafe(24)})
    if language:
        request.session["language"] = language
    session = replace(session, id=identifier, token=token)
    _cache(request, session)
    return session


def current(request: Request, place: AppContext) -> PageSession | None:
    """Return the session of a request; None without one, or when it has ended."""
    if hasattr(request.state, CACHED):
        found: PageSession | None = getattr(request.state, CACHED)
        return found
    token = request.session.get(TOKEN)
    session = _read(place, token) if isinstance(token, str) else None
    _cache(request, session)
    return session


def login_of(request: Request, place: AppContext) -> Login | None:
    """Return the login of a request's session; None without one."""
    session = current(request, place)
    return session.login if session else None


def _read(place: AppContext, token: str) -> PageSession | None:
    with reading(place.engine) as connection:
        row = sessions.find(connection, token)
    if not row:
        return None
    if row.is_seen_long_ago:
        with writing(place.engine) as connection:
            sessions.touch(connection, row.id)
    kept = orjson.loads(row.content)
    waiting = [
        Wanted(**{**one, "fields": [(name, value) for name, value in one["fields"]]}) for one in kept.pop("waiting", ())
    ]
    kept.pop("wanted", None)  # an earlier release kept one form
    return PageSession(row.id, token, Login.from_json(kept.pop("login")), **kept, waiting=tuple(waiting))


def with_present_roles(request: Request, place: AppContext, session: PageSession, *, changes: bool) -> PageSession:
    """Return the session with the roles that the provider gives the person now.

    Args:
        request: the request of the session.
        place: the context of this process.
        session: as it was read.
        changes: whether the request changes something: then they are read in any case.

    Raises: LoginFailed if the provider does not know the login any more; ProviderUnavailable.
    """
    provider = place.provider
    # A machine whose clock is ahead may have read them: that makes them no younger.
    is_recent = not changes and abs(time.time() - session.roles_read_at) < ROLES_SECONDS
    has_roles = session.login.roles != ("subject",)
    if is_recent or not (provider and session.access_token and has_roles):
        return session
    roles, tenant = roles_of(place.settings, provider.user_info(session.access_token, sub=session.login.id))
    login = replace(session.login, roles=roles, tenant=tenant)
    if roles != session.login.roles:
        with writing(place.engine) as connection:
            colleagues.note_login(connection, login.id, roles)
    return _changed(request, place, replace(session, login=login, roles_read_at=time.time()))


def want(request: Request, place: AppContext, wanted: Wanted) -> None:
    """Keep what a person wanted to do until they have logged in again, beside that of their other tabs.

    The oldest give way to it. A form that is sent again, such as by a reload, is kept once.
    """
    session = current(request, place)
    if not session or wanted.length > FORM_MAX:
        return
    others = [one for one in session.waiting if (one.path, [*one.fields]) != (wanted.path, [*wanted.fields])]
    while len(others) >= WAITING_MAX or sum(one.length for one in others) + wanted.length > FORM_MAX:
        others.pop(0)
    _changed(request, place, replace(session, waiting=(*others, wanted)))
    setattr(request.state, FORM, wanted.key)


def without_sent(request: Request, place: AppContext, session: PageSession) -> PageSession:
    """Return the session without the form that waits in it, if the request sends that form: its address has the key."""
    key = request.query_params.get(FORM)
    waiting = tuple(one for one in session.waiting if (one.path, one.key) != (request.url.path, key))
    if request.method == "POST" and waiting != session.waiting:
        return _changed(request, place, replace(session, waiting=waiting))
    return session


def end(request: Request, place: AppContext) -> PageSession | None:
    """End the session of a request: its token is worthless, also in copies of the cookie. Returns it."""
    session = current(request, place)
    if session:
        end_of(place, session.login, session.id)
    request.session.clear()
    _cache(request, None)
    return session


def end_of(place: AppContext, login: Login, session_id: str | None = None) -> None:
    """End a session of a person, or all of them."""
    with place.writing() as connection:
        ended = sessions.end(connection, place.salt, login.identity, session_id)
        _record(connection, "session.ended", login, ended)


def end_by_provider(place: AppContext, claims: Mapping[str, Any]) -> None:
    """End the sessions that a logout token names, by the provider's session or by the person.

    A token ends sessions once: a copy of it must not end those that the person begins later.
    """
    if place.limits.was_used(claims["jti"]):
        return
    login = from_claims(place.settings, claims) if "sub" in claims else None
    with place.writing() as connection:
        if sid := claims.get("sid"):
            ended = sessions.end_at_provider(connection, place.salt, str(sid))
        else:
            ended = sessions.end(connection, place.salt, login.identity) if login else ()
        for session_id in ended:
            audit.record(connection, "session.ended", actor="provider", detail={"session": session_id})
    # Not before: after a fault the provider sends the token again.
    place.limits.use(claims["jti"], seconds=LOGOUT_SECONDS + LEEWAY_SECONDS)


def page(
    connection: Connection, place: AppContext, login: Login, *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[SessionEntry], str | None]:
    """Return a page of the sessions of a person, the newest first, and the cursor of the next page (None: the last).

    Raises: BadInput for a cursor.
    """
    last = page_cursors.decoded(after) if after else None
    found = sessions.of_person(connection, place.salt, login.identity, limit=limit + 1, after=last)
    following = page_cursors.encoded(found[limit - 1].created_at, found[limit - 1].id) if len(found) > limit else None
    return found[:limit], following


def device(agent: str) -> str:
    """Return browser and system of a User-Agent header, by which a person recognises their device."""
    browser = next((name for name, mark in BROWSERS if mark in agent), "")
    system = next((name for name in SYSTEMS if re.search(rf"\b{name}\b", agent)), "")
    return " · ".join(filter(None, (browser, system)))


def _record(connection: Connection, action: str, login: Login, session_ids: Sequence[str]) -> None:
    actor = [*login.actors()][-1]
    for session_id in session_ids:
        audit.record(connection, action, actor=str(actor), detail={"session": session_id})


def _changed(request: Request, place: AppContext, session: PageSession) -> PageSession:
    with writing(place.engine) as connection:
        sessions.change(connection, session.token, session.content())
    _cache(request, session)
    return session


def _cache(request: Request, session: PageSession | None) -> None:
    setattr(request.state, CACHED, session)
