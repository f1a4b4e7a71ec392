"""Accept a request of a logged-in person: check the role, count the attempt, apply the idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from portability.database import deployment
from portability.delivery import limits
from portability.law import deadlines
from portability.law.regime import SubjectFacts
from portability.law.regimes import applying
from portability.requests import acceptance, idempotency, intake
from portability.requests.acceptance import Request
from portability.requests.policy import Actor, create_action
from portability.sources import PlatformSources
from web.context import AppContext
from web.logins import Login
from web.scopes import actor_for_request, facts_of_request


def wanted(place: AppContext, **asked: Any) -> Request:  # noqa: ANN401  # as `acceptance.check` takes it
    """Check a caller's request and set its due date by the regimes of the deployment. Raises as `acceptance.check`."""
    return acceptance.check(
        **asked,
        regimes=place.settings.laws,
        place=place.settings.place,
        exporters=place.exporters,
        at=deployment.clock(place.engine),
    )


def due_at(place: AppContext, login: Login, profile: str) -> datetime:
    """Return when a person's request for their own data would be due that is made now."""
    regimes = applying(place.settings.laws, profile, SubjectFacts(login.kind))
    return deadlines.earliest(regimes, deadlines.DeadlineClock(deployment.clock(place.engine)), place.settings.place)


def accept(
    place: AppContext,
    login: Login,
    request: Request,
    *,
    mandate_id: str | None = None,
    key: str | None = None,
    body: bytes = b"",
    take: Callable[..., tuple[str, bool]] = intake.take,
) -> tuple[str, bool, Actor]:
    """Accept a request; returns the export's id, whether it is new, and the actor who requested it.

    Args:
        place: the context of this process.
        login: the person who makes the request.
        request: the checked request.
        mandate_id: the mandate of an agent who acts for the subject.
        key: the value of the header Idempotency-Key; None: the request has none.
        body: the body that the key was sent with.
        take: `intake.take`, or what takes the request in the same way and does more.

    Raises: NotAllowed, ReasonRequired, StepUpRequired, MandateRefused; TooManyAttempts, TooManyExports; KeyReused.
    """
    actor = actor_for_request(place, login, request, mandated=mandate_id is not None)
    place.limits.attempt(limits.REQUEST, actor.identity)
    settings = place.settings
    changed_at = intake.contact_changed_at(settings, PlatformSources(settings), request)
    facts = facts_of_request(request, mandated=mandate_id is not None)
    auth = login.auth(settings, place.clock.present(), create_action(actor, facts))
    with place.writing() as connection:
        taking = partial(
            take,
            connection,
            settings,
            request,
            actor=actor,
            auth=auth,
            contact_changed_at=changed_at,
            mandate_id=mandate_id,
        )
        if key is None:
            identifier, is_new = taking()
        else:
            identifier, is_new = idempotency.once(
                connection, key, body, caller=actor.identity, make=lambda: taking()[0]
            )
    place.wake(identifier)
    return identifier, is_new, actor
