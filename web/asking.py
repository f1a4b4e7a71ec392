"""Accepting a request of somebody who is logged in: as whom, how often, and once for the same key."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from portability import deadlines, idempotency, intake, limits, requests
from portability.policy import Actor
from portability.requests import Request
from portability.sources import PlatformSources
from web.auth import Login
from web.place import Place
from web.scopes import actor_for_request


def wanted(place: Place, **asked: Any) -> Request:  # noqa: ANN401  # as `requests.check` takes it
    """A request from a caller's words, due by the laws that the deployment is under. Raises as `requests.check`."""
    return requests.check(**asked, regimes=place.settings.regime_names, place=place.settings.place)


def due_at(place: Place, profile: str) -> datetime:
    """When a request of this moment would be due."""
    regimes = deadlines.applying(place.settings.regime_names, profile)
    return deadlines.earliest(regimes, deadlines.Clock(datetime.now(UTC)), place.settings.place)


def accept(
    place: Place,
    login: Login,
    request: Request,
    *,
    mandate_id: str | None = None,
    key: str | None = None,
    body: bytes = b"",
) -> tuple[str, bool, Actor]:
    """The export's id, whether it is new, and as whom it was asked for. `key` and `body` of an Idempotency-Key.

    Raises: NotAllowed, ReasonRequired, StepUpRequired, MandateRefused; TooManyAttempts, TooManyExports; KeyReused.
    """
    actor = actor_for_request(place, login, request, mandated=mandate_id is not None)
    place.limits.attempt(limits.REQUEST, str(actor))
    settings = place.settings
    changed_at = intake.contact_changed_at(settings, PlatformSources(settings), request)
    with place.writing() as connection:
        take = partial(
            intake.take,
            connection,
            settings,
            request,
            actor=actor,
            auth=login.auth(settings),
            contact_changed_at=changed_at,
            mandate_id=mandate_id,
        )
        if key is None:
            identifier, is_new = take()
        else:
            identifier, is_new = idempotency.once(connection, key, body, actor=str(actor), make=lambda: take()[0])
    place.wake(identifier)
    return identifier, is_new, actor
