"""One-time codes: who reads one at an address proves to be the person that it belongs to (docs/links.md).

A code belongs to a link, or to an address that someone logs in with (people without an account).

Codes are not stored or queued: they are derived from the private link key, the link and a nonce, both when they are
sent and when they are checked. A newer code replaces an older one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from portability.api import SubjectKind
from portability.database import models, named_locks
from portability.database.engine import now, read_once
from portability.errors import LinkInvalid, TooManyAttempts
from portability.messages import outbox
from portability.messages.outbox import Channel
from portability.requests import exports
from portability.trust import audit, keys

TABLE = models.code
DIGITS = 8
HOLDS_SECONDS = 600
ATTEMPTS_MAX = 5
SENT_MAX = 5
"""Codes of one link or address per hour: this protects a person's mailbox and limits guesses."""
SENT_WINDOW_SECONDS = 3600
PURPOSE = b"portability one-time code 1"
KEPT_SECONDS = 86_400
"""How long a code of an address is kept, with the address: longer than the hour in which codes are counted."""
LOGIN_PAGE = "/login/address"
"""Where people without account enter their address, and then the code."""
ADDRESS_CODES = "codes of addresses"
"""Name of the lock under which codes of addresses are counted."""
OF_ADDRESS = "address"
"""The actor in the audit log: a person who is known by an address only, which the log must not contain."""


def send(connection: Connection, keys_folder: Path, link: Mapping[Any, Any]) -> str:
    """Make a code for a link and queue the message that delivers it; returns the code's id, not the code.

    Raises: LinkInvalid for a link with another audience; TooManyAttempts; NoSigningKey.
    """
    if link["audience"] != "code":
        raise LinkInvalid
    # Locked, so that two simultaneous requests are counted one after the other. The export first, as everywhere.
    exports.lock(connection, link["export_id"])
    connection.execute(select(models.link.c.id).where(models.link.c.id == link["id"]).with_for_update())
    _check_sent(connection, TABLE.c.link_id == link["id"], SENT_MAX)
    # By its end, and not by its time: after the clock of the database was set back, an older code seems to be newer.
    replaced = (TABLE.c.link_id == link["id"], TABLE.c.expires_at > now())
    connection.execute(update(TABLE).where(*replaced).values(expires_at=now()))
    identifier = _made(connection, keys_folder, link_id=link["id"])
    outbox.queue(connection, outbox.MessageKind.CODE, link["export_id"], occasion=identifier)
    _audit(connection, "code.sent", link)
    return identifier


def send_to_address(
    connection: Connection, keys_folder: Path, kind: SubjectKind, address: str, *, language: str, per_hour: int
) -> str:
    """Make a code for an e-mail address or a phone number, and queue its message; returns the code's id.

    Nothing is looked up: the answer is the same for every address.

    Args:
        connection: a writing transaction.
        keys_folder: where the link keys are.
        kind: one of `ADDRESS_KINDS`.
        address: in its normal form.
        language: of the message.
        per_hour: the number of codes that all addresses together get in an hour.

    Raises: TooManyAttempts; NoSigningKey.
    """
    # Locked, so that simultaneous requests are counted one after the other: all addresses have one limit together.
    named_locks.lock(connection, ADDRESS_CODES)
    of_address = (TABLE.c.subject_kind == kind) & (TABLE.c.subject_id == address)
    _check_sent(connection, of_address, SENT_MAX)
    _check_sent(connection, TABLE.c.subject_kind.is_not(None), per_hour)
    identifier = _made(connection, keys_folder, subject_kind=kind, subject_id=address)
    channel = Channel.SMS if kind is SubjectKind.PHONE else Channel.MAIL
    outbox.queue_code(connection, identifier, channel, language)
    audit.record(connection, "code.sent", actor=OF_ADDRESS, detail={"code": identifier, "kind": kind})
    return identifier


def text(connection: Connection, keys_folder: Path, code_id: str) -> str | None:
    """Return the code itself, for the message; None if it is no longer valid. Raises NoSigningKey."""
    valid = (TABLE.c.id == code_id, TABLE.c.expires_at > now(), TABLE.c.used_at.is_(None))
    row = connection.execute(select(TABLE).where(*valid)).mappings().one_or_none()
    return _derived(connection, keys_folder, row) if row else None


def address(connection: Connection, code_id: str) -> str | None:
    """Return the address that a code is sent to; None if it is no longer known."""
    return connection.scalar(select(TABLE.c.subject_id).where(TABLE.c.id == code_id))


def check(connection: Connection, keys_folder: Path, link: Mapping[Any, Any], code: str) -> bool:
    """Return whether it is the link's newest code, still valid and unused. Commit in both cases.

    Every attempt counts, also a correct code that came too late. Raises NoSigningKey: this attempt does not count.
    """
    newest = select(TABLE.c.id).where(TABLE.c.link_id == link["id"], TABLE.c.expires_at > now())
    newest = newest.order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc()).limit(1)
    accepted = _accepted(connection, keys_folder, TABLE.c.id == newest.scalar_subquery(), code)
    _audit(connection, "code.accepted" if accepted else "code.refused", link)
    return accepted is not None


def check_of_address(
    connection: Connection, keys_folder: Path, code_id: str, code: str
) -> tuple[SubjectKind, str] | None:
    """Return the kind and the address that a code proves; None for a wrong code. Commit in both cases.

    `code_id` is the code that was sent for this browser: a code that another browser requested is out of reach.
    Every attempt counts. Raises NoSigningKey: this attempt does not count.
    """
    sent_here = (TABLE.c.id == code_id) & TABLE.c.subject_kind.is_not(None)
    if row := _accepted(connection, keys_folder, sent_here, code):
        audit.record(connection, "code.accepted", actor=OF_ADDRESS, detail={"code": row["id"]})
        return SubjectKind(row["subject_kind"]), row["subject_id"]
    audit.record(connection, "code.refused", actor=OF_ADDRESS)
    return None


def end_all(connection: Connection) -> None:
    """End every code: after a loss of commits it is not known which of them were used."""
    connection.execute(update(TABLE).where(TABLE.c.expires_at > now()).values(expires_at=now()))


def has_outdated_addresses(connection: Connection) -> bool:
    """Return whether there are codes of addresses that must be deleted now."""
    of_address = TABLE.c.subject_kind.is_not(None)
    return bool(connection.scalar(select(func.min(TABLE.c.created_at) < now(-KEPT_SECONDS)).where(of_address)))


def purge_addresses(connection: Connection) -> None:
    """Delete the codes of addresses after a day, with the addresses and their messages."""
    connection.execute(delete(TABLE).where(*_outdated()))
    outbox.purge_codes(connection, KEPT_SECONDS)


def _outdated() -> Sequence[ColumnElement[bool]]:
    return (TABLE.c.subject_kind.is_not(None), TABLE.c.created_at < read_once(-KEPT_SECONDS))


def _check_sent(connection: Connection, of_owner: ColumnElement[bool], most: int) -> None:
    """Check the number of codes of the last hour. Raises TooManyAttempts, which says when one of them is older."""
    recent = (of_owner, TABLE.c.created_at > now(-SENT_WINDOW_SECONDS))
    newest = select(TABLE.c.created_at, now().label("present")).where(*recent).order_by(TABLE.c.created_at.desc())
    if oldest := connection.execute(newest.offset(most - 1).limit(1)).one_or_none():
        ago_seconds = int((oldest.present - oldest.created_at).total_seconds())
        raise TooManyAttempts("too many codes were sent", retry_after_seconds=SENT_WINDOW_SECONDS - ago_seconds)


def _made(connection: Connection, keys_folder: Path, **owner: str) -> str:
    """Insert a code and return its id. Raises NoSigningKey."""
    kid = keys.signing(connection, keys_folder, purpose="link").kid
    identifier = f"cod_{secrets.token_hex(10)}"
    values = {"id": identifier, **owner, "kid": kid, "nonce": secrets.token_hex(16), "attempts": 0}
    connection.execute(insert(TABLE).values(**values, created_at=now(), expires_at=now(HOLDS_SECONDS)))
    return identifier


def _accepted(
    connection: Connection, keys_folder: Path, which: ColumnElement[bool], code: str
) -> Mapping[Any, Any] | None:
    """Count an attempt at a code, and return its row if it is right: it is used then. Raises NoSigningKey."""
    good = (TABLE.c.attempts < ATTEMPTS_MAX, TABLE.c.expires_at > now(), TABLE.c.used_at.is_(None))
    tried = update(TABLE).where(which, *good).values(attempts=TABLE.c.attempts + 1)
    row = connection.execute(tried.returning(TABLE)).mappings().one_or_none()
    # Without the key no one knows the code: the error ends the transaction, and the attempt does not count.
    expected = _derived(connection, keys_folder, row).encode() if row else b"-"
    is_right = hmac.compare_digest(_typed(code), expected)
    if row and is_right:
        connection.execute(update(TABLE).where(TABLE.c.id == row["id"]).values(used_at=now()))
        return row
    return None


def _typed(code: str) -> bytes:
    """Normalise a code as people type it: without spaces and hyphens."""
    return re.sub(r"[\s-]", "", code[:64]).encode(errors="replace")


def _derived(connection: Connection, keys_folder: Path, row: Mapping[Any, Any]) -> str:
    """HMAC-SHA256 under the link key's private half, for this purpose only, truncated to digits as in RFC 4226."""
    keys.check_unrevoked(connection, keys_folder, row["kid"], purpose="link")  # another key makes another code
    secret = keys.private(keys_folder, row["kid"]).as_der(private=True)
    key = hmac.digest(secret, PURPOSE, hashlib.sha256)
    owner = row["link_id"] or f"{row['subject_kind']}:{row['subject_id']}"
    named = f"{owner}\0{row['id']}\0{row['nonce']}".encode()
    number = int.from_bytes(hmac.digest(key, named, hashlib.sha256)[:16])
    return f"{number % 10**DIGITS:0{DIGITS}}"


def _audit(connection: Connection, action: str, link: Mapping[Any, Any]) -> None:
    detail = {"link": link["id"]}
    audit.record(connection, action, actor=f"link:{link['id']}", export_id=link["export_id"], detail=detail)
