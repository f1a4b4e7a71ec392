"""Secrets of sources that change while they are used, such as refresh tokens: sealed rows of the control database.

They are not in Redis: the queue may lose everything without loss, and a lost refresh token locks the deployment out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import InvalidToken
from sqlalchemy import Engine, insert, select, update

from portability.database import models
from portability.database.engine import reading, writing
from portability.trust import keys
from portability.trust.sealing import cipher

TABLE = models.source_secret
PURPOSE = b"portability source secret 1"


class SealedSecrets:
    """The secrets of all sources, encrypted with a key that is derived from the link key of this machine."""

    def __init__(self, engine: Engine, keys_folder: Path) -> None:
        self._engine = engine
        self._folder = keys_folder

    def read(self, name: str) -> str | None:
        """Return a secret; None if none is stored, or if it was sealed with another key of the same name.

        Raises: DatabaseUnavailable, NoSigningKey.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(TABLE.c.kid, TABLE.c.sealed).where(TABLE.c.name == name)).one_or_none()
        if row is None:
            return None
        try:
            return cipher(self._folder, row.kid, PURPOSE).decrypt(row.sealed).decode()
        except InvalidToken:
            return None

    def check(self) -> None:
        """Check that a secret could be stored now. Raises DatabaseUnavailable, NoSigningKey."""
        with writing(self._engine) as connection:
            keys.signing(connection, self._folder, purpose="link")

    def write(self, name: str, secret: str) -> None:
        """Store a secret in place of the last. Raises DatabaseUnavailable, NoSigningKey."""
        with writing(self._engine) as connection:
            kid = keys.signing(connection, self._folder, purpose="link").kid or ""
            sealed = cipher(self._folder, kid, PURPOSE).encrypt(secret.encode()).decode()
            row = {"kid": kid, "sealed": sealed, "updated_at": datetime.now(UTC)}
            changed = connection.execute(update(TABLE).where(TABLE.c.name == name).values(row))
            if changed.rowcount == 0:
                connection.execute(insert(TABLE).values(name=name, **row))
