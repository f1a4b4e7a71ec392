"""Sessions: who is logged in, until they log out or their time is over.

A browser has a random token. The database has its SHA-256 and, encrypted with a key that is derived from the token,
what the login says: who reads the database learns neither who is logged in nor a token that works. The sessions of a
person, and those of a session at the login provider, are found by a keyed hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import ColumnElement, Connection, delete, func, insert, literal, select, tuple_, update

from portability.database import models
from portability.database.engine import UtcTime, now, read_once

TABLE = models.session
PREFIX = "pss_"
PURPOSE = b"portability session content 1"
MANY_PEOPLE = 10
"""If at least this number of people have one address, a proxy that is not trusted is more likely than an office."""
SEEN_SECONDS = 300
"""How exactly the time of the last use is recorded."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is valid now."""

    id: str
    content: bytes
    """As the application stored it."""
    created_at: datetime
    is_seen_long_ago: bool
    """Whether `touch` should be called."""


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A line of the list of a person's sessions."""

    id: str
    device: str
    created_at: datetime
    seen_at: datetime


def begin(
    connection: Connection,
    salt: str,
    identity: str,
    content: bytes,
    *,
    device: str,
    address: str,
    seconds: int,
    provider_session: str | None = None,
) -> tuple[str, str]:
    """Begin a session; returns its id and its token, which is known to the browser only.

    Args:
        connection: a writing transaction.
        salt: the deployment's salt.
        identity: of the person: the issuer and the id.
        content: what the application knows of the login.
        device: what the person recognises it by: browser and system.
        address: of the client.
        seconds: how long it is valid.
        provider_session: the `sid` of the login provider, if it has sent one.
    """
    identifier, token = f"ses_{secrets.token_hex(10)}", PREFIX + secrets.token_urlsafe(32)
    values = {
        "id": identifier,
        "token_sha256": _digest(token),
        "person": _named(salt, "person", identity),
        "provider_session": _named(salt, "sid", provider_session) if provider_session else None,
        "content": _cipher(token).encrypt(content).decode(),
        "device": device,
        "address": _named(salt, "address", address),
    }
    connection.execute(insert(TABLE).values(**values, created_at=now(), seen_at=now(), expires_at=now(seconds)))
    return identifier, token


def find(connection: Connection, token: str) -> Session | None:
    """Return the session of a token; None if it has ended."""
    is_old = (TABLE.c.seen_at < now(-SEEN_SECONDS)).label("is_old")
    valid = (TABLE.c.token_sha256 == _digest(token), TABLE.c.expires_at > now())
    query = select(TABLE.c.id, TABLE.c.content, TABLE.c.created_at, is_old).where(*valid)
    row = connection.execute(query).one_or_none()
    try:
        return Session(row.id, _cipher(token).decrypt(row.content), row.created_at, bool(row.is_old)) if row else None
    except InvalidToken:
        return None


def touch(connection: Connection, session_id: str) -> None:
    """Record that a session is in use."""
    connection.execute(update(TABLE).where(TABLE.c.id == session_id).values(seen_at=now()))


def change(connection: Connection, token: str, content: bytes) -> None:
    """Replace the content of a session; one that has ended stays ended."""
    matching = TABLE.c.token_sha256 == _digest(token)
    connection.execute(update(TABLE).where(matching).values(content=_cipher(token).encrypt(content).decode()))


def of_person(
    connection: Connection, salt: str, identity: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[SessionEntry]:
    """Return the valid sessions of a person, the newest first; `after`: the begin and id of the last already seen."""
    own = (TABLE.c.person == _named(salt, "person", identity), TABLE.c.expires_at > now())
    columns = (TABLE.c.id, TABLE.c.device, TABLE.c.created_at, TABLE.c.seen_at)
    query = select(*columns).where(*own)
    if after:
        last = tuple_(literal(after[0], UtcTime()), literal(after[1]))
        query = query.where(tuple_(TABLE.c.created_at, TABLE.c.id) < last)
    ordered = query.order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc())
    return [SessionEntry(*row) for row in connection.execute(ordered.limit(limit))]


def end(connection: Connection, salt: str, identity: str, session_id: str | None = None) -> Sequence[str]:
    """End a session of a person, or all of them; returns their ids."""
    own = TABLE.c.person == _named(salt, "person", identity)
    return _ended(connection, own & (TABLE.c.id == session_id) if session_id else own)


def end_at_provider(connection: Connection, salt: str, provider_session: str) -> Sequence[str]:
    """End the sessions that began with a session of the login provider; returns their ids."""
    return _ended(connection, TABLE.c.provider_session == _named(salt, "sid", provider_session))


def people_behind_one_address(connection: Connection) -> int:
    """Return how many people are logged in if all of them have the same address; 0: they are few, or have several."""
    valid = TABLE.c.expires_at > read_once()
    newest = select(TABLE.c.address).where(valid).order_by(TABLE.c.expires_at.desc())
    address = connection.scalar(newest.limit(1))
    # If there are several addresses, a second is found soon: all sessions are read only where something is wrong.
    if not address or connection.scalar(newest.where(TABLE.c.address != address).limit(1)):
        return 0
    people = connection.scalar(select(func.count(func.distinct(TABLE.c.person))).where(valid)) or 0
    return people if people >= MANY_PEOPLE else 0


def end_all(connection: Connection) -> None:
    """End every session: after a loss of commits it is not known which of them had ended."""
    connection.execute(delete(TABLE))


def purge(connection: Connection) -> None:
    """Delete the sessions whose time is over."""
    connection.execute(delete(TABLE).where(TABLE.c.expires_at <= read_once()))


def has_outdated(connection: Connection) -> bool:
    """Return whether `purge` has something to delete."""
    return bool(connection.scalar(select(func.min(TABLE.c.expires_at) <= now())))


def _ended(connection: Connection, which: ColumnElement[bool]) -> Sequence[str]:
    return connection.scalars(delete(TABLE).where(which).returning(TABLE.c.id)).all()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _cipher(token: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hmac.digest(token.encode(errors="replace"), PURPOSE, hashlib.sha256)))


def _named(salt: str, what: str, value: str) -> str:
    return hmac.digest(salt.encode(), f"session {what}\0{value}".encode(), hashlib.sha256).hex()
