"""Accepting a request, whoever asks and by which way: one order of checks for API and pages."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from portability import approvals, deadlines, directory, idempotency, limits, requests
from portability.policy import REASONED, Actor, Role
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
    place: Place, login: Login, request: Request, *, key: str | None = None, body: bytes = b""
) -> tuple[str, bool, Actor]:
    """The export's id, whether it is new, and as whom it was asked for. `key` and `body` of an Idempotency-Key.

    Raises: NotAllowed, ReasonRequired, StepUpRequired; TooManyAttempts, TooManyExports; KeyReused; SourceUnavailable
    where nobody can say whether a second person must look.
    """
    actor = actor_for_request(place, login, request)
    place.limits.attempt(limits.REQUEST, str(actor))
    causes = _causes(place, actor, request)
    with place.writing() as connection:
        make = partial(_make, connection, place, actor, request, causes)
        if key is None:
            identifier, is_new = make()
        else:
            identifier, is_new = idempotency.once(connection, key, body, actor=str(actor), make=lambda: make()[0])
    place.wake(identifier)
    return identifier, is_new, actor


def _make(
    connection: Connection, place: Place, actor: Actor, request: Request, causes: tuple[approvals.Cause, ...]
) -> tuple[str, bool]:
    most = place.settings.exports_per_month
    identifier, is_new = requests.accept(connection, request, actor=str(actor), per_month=most)
    if is_new:
        approvals.ask(connection, identifier, causes, actor=str(actor))
    return identifier, is_new


def _causes(place: Place, actor: Actor, request: Request) -> tuple[approvals.Cause, ...]:
    settings = place.settings
    changed_at = None
    if settings.needs_approvals and Role(actor.role) in REASONED:
        known = directory.load_directory(PlatformSources(settings), settings.directory)
        subject = directory.named(request.subject_kind, request.subject_id, request.tenant)
        changed_at = directory.last_change(known, subject)
    return approvals.needed(settings, actor, request, contact_changed_at=changed_at)
