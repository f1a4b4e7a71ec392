"""Secrets of sources that change while they are used, such as refresh tokens: sealed rows of the control database.

They are not in Redis: the queue may lose everything without loss, and a lost refresh token locks the deployment out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography.fernet import InvalidToken
from sqlalchemy import Engine, insert, select, update

from portability.database import models
from portability.database.engine import reading, writing
from portability.trust import keys
from portability.trust.sealing import cipher

TABLE = models.source_secret
PURPOSE = b"portability source secret 1"


class SealedSecret(NamedTuple):
    """An encrypted secret."""

    kid: str
    """The link key that it is sealed with."""
    text: str


Sealer: TypeAlias = Callable[[str], SealedSecret]


class SealedSecrets:
    """The secrets of all sources, encrypted with a key that is derived from the link key of this machine."""

    def __init__(self, engine: Engine, keys_folder: Path) -> None:
        self._engine = engine
        self._folder = keys_folder

    def read(self, name: str) -> str | None:
        """Return a secret; None if none is stored, or if it was sealed with another key of the same name.

        Raises: DatabaseUnavailable, NoSigningKey.
        """
        sealed = self.stored(name)
        return self.opened(sealed) if sealed else None

    def stored(self, name: str) -> SealedSecret | None:
        """Return a secret as it is stored. Raises DatabaseUnavailable."""
        with reading(self._engine) as connection:
            row = connection.execute(select(TABLE.c.kid, TABLE.c.sealed).where(TABLE.c.name == name)).one_or_none()
        return SealedSecret(row.kid, row.sealed) if row else None

    def opened(self, sealed: SealedSecret) -> str | None:
        """Decrypt a secret; None if it was sealed with another key of the same name. Raises NoSigningKey."""
        try:
            return cipher(self._folder, sealed.kid, PURPOSE).decrypt(sealed.text).decode()
        except InvalidToken:
            return None

    def sealer(self) -> Sealer:
        """Return what seals a new secret; it could be stored now. Raises DatabaseUnavailable, NoSigningKey."""
        with writing(self._engine) as connection:
            kid = keys.signing(connection, self._folder, purpose="link").kid or ""
        sealing = cipher(self._folder, kid, PURPOSE)
        return lambda secret: SealedSecret(kid, sealing.encrypt(secret.encode()).decode())

    def write(self, name: str, sealed: SealedSecret) -> None:
        """Store a secret in place of the last. Raises DatabaseUnavailable."""
        row = {"kid": sealed.kid, "sealed": sealed.text, "updated_at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            changed = connection.execute(update(TABLE).where(TABLE.c.name == name).values(row))
            if changed.rowcount == 0:
                connection.execute(insert(TABLE).values(name=name, **row))
