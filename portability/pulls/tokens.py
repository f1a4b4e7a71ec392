"""Tokens of providers: random, bound to a key (RFC 9449), valid for minutes and as long as the consent is.

A consent for one copy has an access token only. A recurring consent has a refresh token too, which counts once: the
second use of one ends the consent, because one of its two users may be a thief (RFC 9700, 4.14.2). If
nothing was done with the answer to its first use, that answer may be lost, and it is answered again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from portability.api import JSON
from portability.api.errors import PortabilityError
from portability.database import history, models
from portability.database.engine import now, read_once
from portability.pulls import details, pushed_requests
from portability.pulls.pushed_requests import sha256
from portability.pulls.refusals import OAuthFault, PullRefused, PullReplayed
from portability.transfers import recipients
from portability.trust import audit

TABLE, CONSENT, REQUEST, COPY = models.pull_token, models.authorisation, models.pull_request, models.pull
ACCESS_SECONDS = 600
ONCE_SECONDS = 3600
"""For one copy: without a refresh token it has to last while the copy is made."""
REFRESH_SECONDS = 30 * 86_400
"""How long a provider may wait before it fetches again."""
REPEAT_SECONDS = ACCESS_SECONDS
"""How long the use of a refresh token may be repeated: as long as the access token of its answer would be valid."""
KEPT_SECONDS = 86_400
"""How long requests and tokens are kept after their end, so that a second use is recognised."""


class TokenKind(StrEnum):
    """What a token is for."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """New tokens; they are known only at this moment."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    seconds: int
    """How long the access token is valid."""
    granted: list[JSON]
    """`authorization_details` as the person allowed them."""

    def to_json(self) -> dict[str, JSON]:
        """Return the answer of the token endpoint (RFC 6749, 5.1; RFC 9449, 5; RFC 9396, 7)."""
        again: dict[str, JSON] = {"refresh_token": self.refresh} if self.refresh else {}
        given: dict[str, JSON] = {"access_token": self.access, "token_type": "DPoP", "expires_in": self.seconds}
        return {**given, "authorization_details": self.granted, **again}


def exchange(
    connection: Connection, recipient: Mapping[Any, Any], code: str, redirect_uri: str, verifier: str, jkt: str
) -> GrantedTokens:
    """Return tokens for a code, which is used up. Raises PullReplayed, PullRefused (`invalid_grant`)."""
    consent_id = pushed_requests.use_code(connection, recipient, code, redirect_uri, verifier, jkt)
    return _issue(connection, recipient, consent_id)


def refresh(connection: Connection, recipient: Mapping[Any, Any], token: str, jkt: str) -> GrantedTokens:
    """Return new tokens for a refresh token, which is used up. Raises PullReplayed, PullRefused (`invalid_grant`)."""
    row = _found(connection, token, TokenKind.REFRESH)
    whose = {"recipient_id": recipient["id"]}
    if row is None or row["recipient_id"] != recipient["id"] or row["dpop_jkt"] != jkt or not row["lives"]:
        message = "the refresh token is unknown, expired, of another provider or of another key"
        raise PullRefused(OAuthFault.INVALID_GRANT, message, **whose)
    unused = update(TABLE).where(TABLE.c.token_sha256 == row["token_sha256"], TABLE.c.used_at.is_(None))
    if not connection.execute(unused.values(used_at=now())).rowcount and not _forget_lost_answer(connection, row):
        raise PullReplayed("the refresh token was used before", authorisation_id=row["authorisation_id"], **whose)
    return _issue(connection, recipient, row["authorisation_id"])


def access(connection: Connection, token: str, jkt: str) -> RowMapping:
    """Return the consent that an access token stands for.

    Raises: PullRefused (`invalid_token`); DatabaseBehind, because the consent may have ended in a lost commit.
    """
    history.check(connection)
    row = _found(connection, token, TokenKind.ACCESS)
    fault = OAuthFault.INVALID_TOKEN
    if row is None:
        raise PullRefused(fault, "the access token is unknown")
    whose = {"recipient_id": row["recipient_id"]}
    if row["dpop_jkt"] != jkt:
        raise PullRefused(fault, "the access token is bound to another key", **whose)
    if not row["lives"]:
        raise PullRefused(fault, "the access token has expired", **whose)
    _check_stands(connection, row, fault)
    return row


def consent_of(connection: Connection, recipient: Mapping[Any, Any], token: str) -> str | None:
    """Return the consent of a provider's own token, access or refresh; None for any other text."""
    query = select(TABLE.c.authorisation_id).join(CONSENT).where(TABLE.c.token_sha256 == sha256(token))
    return connection.scalar(query.where(CONSENT.c.recipient_id == recipient["id"]))


def purge(connection: Connection) -> None:
    """Delete requests and tokens that ended a day ago; used refresh tokens and codes as long as they would be valid."""
    over = read_once(-KEPT_SECONDS)
    connection.execute(delete(TABLE).where(TABLE.c.expires_at < over))
    unanswered = REQUEST.c.authorisation_id.is_(None)
    spent = or_(unanswered, REQUEST.c.code_expires_at < over)
    connection.execute(delete(REQUEST).where(REQUEST.c.expires_at < over, spent))


def has_outdated(connection: Connection) -> bool:
    """Return whether `purge` has something to do."""
    over = now(-KEPT_SECONDS)
    return any(connection.scalar(select(func.min(table.c.expires_at) < over)) for table in (TABLE, REQUEST))


def _found(connection: Connection, token: str, kind: TokenKind) -> RowMapping | None:
    """Return a token with its consent; `lives`: the token has not expired."""
    of_token = [TABLE.c.token_sha256, TABLE.c.authorisation_id, (TABLE.c.expires_at > now()).label("lives")]
    query = (
        select(*of_token, *CONSENT.c).join(CONSENT).where(TABLE.c.token_sha256 == sha256(token), TABLE.c.kind == kind)
    )
    return connection.execute(query).mappings().one_or_none()


def _forget_lost_answer(connection: Connection, row: Mapping[Any, Any]) -> bool:
    """Delete the tokens that a used refresh token was answered with, if nothing was done with them; returns whether.

    Its provider has the key that the token is bound to, so that a thief of tokens alone cannot repeat it.
    """
    recent = (TABLE.c.token_sha256 == row["token_sha256"], TABLE.c.used_at > now(-REPEAT_SECONDS))
    used_at = connection.scalar(select(TABLE.c.used_at).where(*recent).with_for_update())
    if not used_at:
        return False
    later = (TABLE.c.authorisation_id == row["authorisation_id"], TABLE.c.created_at >= used_at)
    refreshed = select(TABLE.c.token_sha256).where(*later, TABLE.c.used_at.is_not(None))
    fetched = select(COPY.c.id).where(COPY.c.authorisation_id == row["authorisation_id"], COPY.c.created_at >= used_at)
    if any(connection.scalar(used.limit(1)) for used in (refreshed, fetched)):
        return False
    connection.execute(delete(TABLE).where(*later))
    return True


def _issue(connection: Connection, recipient: Mapping[Any, Any], consent_id: str) -> GrantedTokens:
    consent = connection.execute(select(CONSENT).where(CONSENT.c.id == consent_id)).mappings().one()
    _check_stands(connection, consent, OAuthFault.INVALID_GRANT)
    left = _seconds_left(connection, consent)
    seconds = ONCE_SECONDS if left is None else min(ACCESS_SECONDS, left)
    token, again = secrets.token_urlsafe(32), None if left is None else secrets.token_urlsafe(32)
    _insert(connection, consent_id, TokenKind.ACCESS, token, seconds)
    if again is not None and left is not None:
        _insert(connection, consent_id, TokenKind.REFRESH, again, min(REFRESH_SECONDS, left))
    detail: audit.Detail = {"authorisation": consent_id, "seconds": seconds}
    audit.record(connection, "pull.token_issued", actor=f"recipient:{recipient['id']}", detail=detail)
    return GrantedTokens(token, again, seconds, details.to_json(consent["datasets"], consent["expires_at"]))


def _insert(connection: Connection, consent_id: str, kind: TokenKind, token: str, seconds: int) -> None:
    about = {"authorisation_id": consent_id, "token_sha256": sha256(token), "kind": kind}
    connection.execute(insert(TABLE).values(**about, created_at=now(), expires_at=now(seconds)))


def _seconds_left(connection: Connection, consent: Mapping[Any, Any]) -> int | None:
    """Return how long a recurring consent lasts; None for a consent to one copy."""
    if consent["expires_at"] is None:
        return None
    return int((consent["expires_at"] - connection.execute(select(now())).scalar_one()).total_seconds())


def _check_stands(connection: Connection, consent: Mapping[Any, Any], fault: OAuthFault) -> None:
    """Check that a person's consent has not ended, and that its provider is still approved. Raises PullRefused."""
    ended = consent["revoked_at"] is not None
    if not ended and consent["expires_at"] is not None:
        ended = consent["expires_at"] <= connection.execute(select(now())).scalar_one()
    try:
        recipients.approved(connection, consent["recipient_id"])
    except PortabilityError:
        ended = True
    if ended:
        raise PullRefused(fault, "the consent has ended", recipient_id=consent["recipient_id"])
