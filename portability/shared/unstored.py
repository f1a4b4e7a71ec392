"""Copies of new secrets in Redis until the control database has them.

A source has ended the last refresh token when it answers. If the database is away then, or the process is killed, the
next process finds the new token here. It is sealed as in the database.
"""

from __future__ import annotations

import hashlib
import json

from redis import Redis
from redis.exceptions import RedisError

from portability.shared.secrets import SealedSecret

COPY = "portability:unstored"


class UnstoredSecrets:
    """One copy for each source. Each names the stored secret that it follows: an older copy is of no use."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def keep(self, name: str, sealed: SealedSecret, last: SealedSecret | None) -> bool:
        """Keep a secret that follows the stored secret; returns whether Redis has it."""
        try:
            self._redis.set(_key(name), json.dumps([*sealed, _named(last)]))
        except RedisError:
            return False
        return True

    def after(self, name: str, last: SealedSecret | None) -> SealedSecret | None:
        """Return the secret that follows the stored one; None if what is stored is the newest. Raises RedisError."""
        content = self._redis.get(_key(name))
        try:
            kid, text, follows = json.loads(content or "[]")
        except ValueError:  # it is missing, or another program has written here
            return None
        return SealedSecret(kid, text) if follows == _named(last) else None

    def forget(self, name: str) -> None:
        """Remove the copy. One that stays follows a secret that is no longer stored."""
        try:
            self._redis.delete(_key(name))
        except RedisError:
            return


def _key(name: str) -> str:
    return f"{COPY}:{name}"


def _named(last: SealedSecret | None) -> str:
    return hashlib.sha256(last.text.encode()).hexdigest() if last else ""
