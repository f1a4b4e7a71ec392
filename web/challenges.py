"""Challenges to recipients from pages and API: a recipient proves that key, key set and webhook are its own."""

from __future__ import annotations

from sqlalchemy import RowMapping

from portability.api.errors import PortabilityError
from portability.requests.policy import Actor
from portability.safe_http import SafeHttpClient
from portability.transfers import proofs, recipients
from web.context import AppContext


def before_approval(place: AppContext, identifier: str, actor: Actor) -> None:
    """Challenge a recipient that this person may approve, if it has not answered yet.

    Raises: UnknownRecipient, WrongState, NotAllowed, and what `challenge` raises.
    """
    with place.reading() as connection:
        row = recipients.approvable(connection, identifier, actor=actor)
    if not row["proven_at"]:
        challenge(place, row, str(actor))


def challenge(place: AppContext, row: RowMapping, actor: str) -> None:
    """Challenge a recipient, and record that it has answered.

    Raises: UnknownRecipient, NotProven, ClockSkew, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    proofs.challenge(SafeHttpClient.of(place.settings), place.settings, row, place.clock.present())
    with place.writing() as connection:
        proofs.record(connection, row, actor=actor)


def fault_of(place: AppContext, row: RowMapping, actor: str) -> str | None:
    """Challenge a recipient that was recorded just now; returns the code of what failed."""
    try:
        challenge(place, row, actor)
    except PortabilityError as error:
        return error.code
    return None
