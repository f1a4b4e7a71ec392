"""One-time codes: who reads one at the verified address is the person that a link is for (docs/links.md).

No code is stored or queued: it follows from the private link key, the link and a nonce, where it is sent and where it
is checked. A newer code takes the place of an older one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from portability import audit, exports, keys, models, notify
from portability.db import now
from portability.errors import NoSigningKey
from portability.refusals import LinkInvalid, TooManyAttempts

TABLE = models.code
DIGITS = 8
HOLDS_SECONDS = 600
ATTEMPTS_MAX = 5
SENT_MAX = 5
"""Codes of one link in an hour: a person's mailbox is not to be flooded, and guesses are bounded."""
SENT_WINDOW_SECONDS = 3600
PURPOSE = b"portability one-time code 1"


def send(connection: Connection, keys_folder: Path, link: Mapping[Any, Any]) -> str:
    """Make a code for a link and queue the message that brings it; returns the code's id, not the code.

    Raises: LinkInvalid for a link of another audience; TooManyAttempts; NoSigningKey.
    """
    if link["audience"] != "code":
        raise LinkInvalid
    kid = keys.signing(connection, keys_folder, purpose="link").kid
    # One at a time: two that ask at the same moment are counted one after the other. The export first, as everywhere.
    exports.lock(connection, link["export_id"])
    connection.execute(select(models.link.c.id).where(models.link.c.id == link["id"]).with_for_update())
    recent = (TABLE.c.link_id == link["id"], TABLE.c.created_at > now(-SENT_WINDOW_SECONDS))
    if connection.execute(select(func.count()).select_from(TABLE).where(*recent)).scalar_one() >= SENT_MAX:
        raise TooManyAttempts("too many codes were sent", retry_after_seconds=SENT_WINDOW_SECONDS)
    identifier = f"cod_{secrets.token_hex(10)}"
    values = {"id": identifier, "link_id": link["id"], "kid": kid, "nonce": secrets.token_hex(16), "attempts": 0}
    connection.execute(insert(TABLE).values(**values, created_at=now(), expires_at=now(HOLDS_SECONDS)))
    notify.queue(connection, notify.Kind.CODE, link["export_id"], occasion=identifier)
    _audit(connection, "code.sent", link)
    return identifier


def text(connection: Connection, keys_folder: Path, code_id: str) -> str | None:
    """The code itself, for the message; None for one that no longer holds. Raises NoSigningKey."""
    held = (TABLE.c.id == code_id, TABLE.c.expires_at > now(), TABLE.c.used_at.is_(None))
    row = connection.execute(select(TABLE).where(*held)).mappings().one_or_none()
    return None if row is None else _derived(keys_folder, row)


def check(connection: Connection, keys_folder: Path, link: Mapping[Any, Any], code: str) -> bool:
    """Whether it is the newest code of the link, still good and not used before. Commit whatever the answer is.

    Every try counts, also one with a right code that came too late.
    """
    newest = select(TABLE.c.id).where(TABLE.c.link_id == link["id"])
    newest = newest.order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc()).limit(1)
    good = (TABLE.c.attempts < ATTEMPTS_MAX, TABLE.c.expires_at > now(), TABLE.c.used_at.is_(None))
    tried = update(TABLE).where(TABLE.c.id == newest.scalar_subquery(), *good).values(attempts=TABLE.c.attempts + 1)
    row = connection.execute(tried.returning(TABLE)).mappings().one_or_none()
    expected = _expected(keys_folder, row)
    is_right = hmac.compare_digest(_typed(code), expected) and row is not None
    if row is not None and is_right:
        connection.execute(update(TABLE).where(TABLE.c.id == row["id"]).values(used_at=now()))
    _audit(connection, "code.accepted" if is_right else "code.refused", link)
    return is_right


def _typed(code: str) -> bytes:
    """As people type it: with spaces or a hyphen between."""
    return re.sub(r"[\s-]", "", code[:64]).encode(errors="replace")


def _expected(keys_folder: Path, row: Mapping[Any, Any] | None) -> bytes:
    if row is None:
        return b"-"
    try:
        return _derived(keys_folder, row).encode()
    except NoSigningKey:
        return b"-"


def _derived(keys_folder: Path, row: Mapping[Any, Any]) -> str:
    """HMAC-SHA256 under the link key's private half, for this purpose alone, cut to digits as RFC 4226 does."""
    secret = keys.private(keys_folder, row["kid"]).as_der(private=True)
    key = hmac.digest(secret, PURPOSE, hashlib.sha256)
    named = f"{row['link_id']}\0{row['id']}\0{row['nonce']}".encode()
    number = int.from_bytes(hmac.digest(key, named, hashlib.sha256)[:16])
    return f"{number % 10**DIGITS:0{DIGITS}}"


def _audit(connection: Connection, action: str, link: Mapping[Any, Any]) -> None:
    detail = {"link": link["id"]}
    audit.record(connection, action, actor=f"link:{link['id']}", export_id=link["export_id"], detail=detail)
