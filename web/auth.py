"""Authentication: a session of the pages or a bearer token of the API becomes a `Login`."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import Depends, Form, Request
from joserfc.jwk import ECKey

from portability.errors import NotAllowed
from portability.requests import policy
from portability.requests.policy import Action, Actor, ActorRole, Facts, Why
from web import sessions
from web.context import AppContext, CurrentContext
from web.logins import Login, from_claims
from web.provider import LoginFailed
from web.sessions import CSRF

CSRF_HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class NotLoggedIn(NotAllowed):
    """The request has no valid session and no valid token."""

    code = "not_logged_in"
    default_hint = "log in, or send a bearer token"


class ForgedForm(NotAllowed):
    """A form or call that does not come from a page of this session, or whose session has ended."""

    code = "forged_form"
    default_hint = "reload the page and send it again"


NEAREST = (Why.STEP_UP, Why.NO_REASON, Why.FOUR_EYES, Why.OWN_DATA, Why.NOT_ALLOWED, Why.NOT_YOURS)
"""Of several refusals the first of these is reported: what the person can change comes first."""


REFUSED = frozenset({Why.FOUR_EYES, Why.OWN_DATA, Why.NOT_ALLOWED, Why.NOT_YOURS})
"""Refusals that the audit log has; after the others the person can do it."""
READS = frozenset(
    {
        *(Action.SEE_OWN, Action.SEE_STATE, Action.LIST_ALL),
        *(Action.AUDIT_READ, Action.REQUESTS_READ, Action.ERASURE_HOLDS, Action.INBOX),
    }
)


def permit(
    place: AppContext,
    login: Login,
    action: Action,
    facts: Facts | None = None,
    *,
    export_id: str = "",
    confirmed: Action | None = None,
    thing: str = "",
) -> Actor:
    """Return the first actor of a login that is permitted an action.

    Args:
        place: the context of this process.
        login: of the request.
        action: what the person wants to do.
        facts: what the policy needs to know about it.
        export_id: the export that it is about; empty: none.
        confirmed: the action for which a second login counts; None: the same. It differs if a form does two things.
        thing: what a second login counts for; empty: the export. It differs if a form is about several exports.

    Raises: UnknownExport, NotAllowed, ReasonRequired, StepUpRequired.
    """
    auth = login.auth(place.settings, place.clock.present(), confirmed or action, thing or export_id)
    refusals = []
    for actor in login.actors():
        decision = policy.allowed(actor, action, facts, auth)
        if decision:
            note_read(place, actor, action, export_id)
            return actor
        refusals.append(decision)
    settings = place.settings
    nearest = min(refusals, key=lambda refusal: NEAREST.index(refusal.why))
    if nearest.why in REFUSED:
        why = {"action": str(action), "why": str(nearest.why)}
        place.observations.note("access.refused", str([*login.actors()][-1]), export_id or None, **why)
    wanted = {"acr_values": settings.strong_acr, "max_age_seconds": settings.step_up_seconds}
    about = thing if thing and nearest.why is Why.STEP_UP else export_id
    nearest.enforce(action, export_id=about, **wanted)  # type: ignore[arg-type]  # of two types
    raise AssertionError  # enforce raises for every refusal


def note_read(place: AppContext, actor: Actor, action: Action, export_id: str = "") -> None:
    """Note for the audit log what people read who are not the subject."""
    if action in READS and actor.role != ActorRole.SUBJECT:
        place.observations.note("access.read", str(actor), export_id or None, action=str(action))


def may(place: AppContext, login: Login, action: Action, facts: Facts | None = None) -> bool:
    """Return whether a page shows the button of an action.

    It does for a login that is only too weak or too old: the person is then asked to log in again.
    """
    auth = login.auth(place.settings, place.clock.present(), action)
    answers = (policy.allowed(actor, action, facts, auth).why for actor in login.actors())
    return any(why in {Why.ALLOWED, Why.STEP_UP, Why.NO_REASON} for why in answers)


def csrf_token(request: Request) -> str:
    """Return the token that the forms of this session carry; it is made for the first form."""
    if CSRF not in request.session:
        request.session[CSRF] = secrets.token_urlsafe(24)
    return str(request.session[CSRF])


def _page_login(request: Request, place: CurrentContext) -> Login:
    session = sessions.current(request, place)
    if not session:
        raise NotLoggedIn("the session has no login")
    try:
        present = sessions.with_present_roles(request, place, session, changes=request.method not in SAFE)
        present = sessions.without_sent(request, place, present)
    except LoginFailed:
        sessions.end(request, place)
        raise NotLoggedIn("the login at the provider has ended") from None
    return present.login


def present_login(request: Request, place: AppContext) -> Login | None:
    """Return the login of a form that visitors without one may send too, with its present roles; None without one.

    Raises: NotLoggedIn if it has ended at the provider; ProviderUnavailable.
    """
    return _page_login(request, place) if sessions.current(request, place) else None


def _caller(request: Request, place: CurrentContext) -> Login:
    """Return the login of an API call: by its bearer token, or by the session of the pages."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if not (scheme.lower() == "bearer" and token and place.provider):
            raise NotLoggedIn("the Authorization header has no bearer token that can be checked here")
        try:
            claims = place.provider.verified(token.strip(), audience=place.settings.audience)
            return from_claims(place.settings, claims)
        except LoginFailed as error:
            place.observations.note("token.refused", "token")
            raise NotLoggedIn(str(error)) from None
    login = _page_login(request, place)
    if request.method not in SAFE:
        check_form(request, request.headers.get(CSRF_HEADER, ""))
    return login


def _from_our_form(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> None:
    check_form(request, csrf)


def check_form(request: Request, sent: str) -> None:
    """Check that a form belongs to this session. Raises ForgedForm."""
    # Most browsers say where a request comes from; the token also protects those that do not.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedForm("the request comes from another site")
    known = request.session.get(CSRF)
    if not known or not hmac.compare_digest(str(known).encode(), sent.encode()):
        raise ForgedForm("the form does not belong to this session")


def is_of_own_page(request: Request, sent: str) -> bool:
    """Return whether a page of this application has sent a form, of this session or an earlier one.

    What another site has sent is shown on no page. Browsers that do not say where a form comes from are believed by
    the token of the session.
    """
    known = str(request.session.get(CSRF) or secrets.token_urlsafe(24))
    site = request.headers.get("sec-fetch-site")
    return site == "same-origin" if site else hmac.compare_digest(known.encode(), sent.encode())


def session_secret(key: ECKey) -> str:
    """Return the secret that signs sessions, derived from the link key, which each machine of the deployment has."""
    private = key.as_dict(private=True)["d"]
    return hmac.new(str(private).encode(), b"portability session 1", "sha256").hexdigest()


LoggedIn = Annotated[Login, Depends(_page_login)]
"""The login of a page. Raises NotLoggedIn."""
Caller = Annotated[Login, Depends(_caller)]
"""The login of an API call. Raises NotLoggedIn, ForgedForm."""
OurForm = Depends(_from_our_form)
"""The form belongs to this session. Raises ForgedForm."""
