"""Seals: images are encrypted with a key for each person, which an erasure deletes from storage.

Keys are objects `journal-keys/<deployment>/<pseudonym>/<writer>`, encrypted themselves with a key that is derived from
the link key: storage alone reveals nothing. Each writer makes its own keys: none replaces the key of another writer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection

from portability.api.errors import ObjectMissing
from portability.api.storages import Storage, StoredObject, put
from portability.errors import NoSigningKey
from portability.people import subjects
from portability.trust import keys

FOLDER = "journal-keys"
NAME = re.compile(rf"{FOLDER}/[0-9a-f]{{32}}/([a-z0-9_]+)/\d{{8}}-[0-9a-f]{{16}}")
NOBODY = "deployment"
"""In place of a pseudonym: for images that are about no single person."""
PURPOSE = b"portability journal key 1"


class Seals:
    """The keys of one writer, made when they are first needed."""

    def __init__(self, storage: Storage, keys_folder: Path, deployment: str, writer: str) -> None:
        self._storage = storage
        self._folder = keys_folder
        self._deployment = deployment
        self._writer = writer
        self._known: dict[str, Fernet] = {}

    def seal(self, connection: Connection, ref: str, content: bytes) -> dict[str, str]:
        """Encrypt for a pseudonym; returns the name of the key, and the content. Raises NoSigningKey, StorageError."""
        if ref not in self._known:
            self._known[ref] = self._make(connection, ref)
        return {
            "key": f"{self._deployment}/{ref}/{self._writer}",
            "content": self._known[ref].encrypt(content).decode(),
        }

    def _name(self, ref: str) -> str:
        return f"{self._deployment}/{ref}/{self._writer}"

    def _make(self, connection: Connection, ref: str) -> Fernet:
        kid = keys.signing(connection, self._folder, purpose="link").kid or ""
        key = Fernet.generate_key()
        document = {"kid": kid, "key": _wrap(self._folder, kid).encrypt(key).decode()}
        put(self._storage, f"{FOLDER}/{self._name(ref)}", orjson.dumps(document))
        return Fernet(key)


def opened(storage: Storage, keys_folder: Path, sealed: dict[str, str]) -> bytes | None:
    """Decrypt what `seal` returned; None if its key was deleted. Raises NoSigningKey, StorageError."""
    try:
        document = orjson.loads(b"".join(storage.read(f"{FOLDER}/{sealed['key']}")))
    except ObjectMissing:
        return None
    try:
        key = _wrap(keys_folder, document["kid"]).decrypt(document["key"])
        return Fernet(key).decrypt(sealed["content"])
    except InvalidToken:
        raise NoSigningKey(f"the key {document['kid']} of this machine is not the one of the journal") from None


def destroy(storage: Storage, deployment: str, ref: str) -> None:
    """Delete all keys for a person: what was sealed with them can never be read again. Raises StorageError."""
    for found in list(storage.list(f"{FOLDER}/{deployment}/{ref}/")):
        storage.delete(found.key)


def stored(storage: Storage, deployment: str) -> Iterator[tuple[str, StoredObject]]:
    """Yield all keys of a deployment in storage, each with its pseudonym. Raises StorageError."""
    for found in storage.list(f"{FOLDER}/{deployment}/"):
        if match := NAME.fullmatch(found.key):
            yield match[1], found


def is_needed(connection: Connection, ref: str) -> bool:
    """Return whether a key may stay: its person was not erased."""
    return ref == NOBODY or subjects.is_remembered(connection, ref)


def _wrap(keys_folder: Path, kid: str) -> Fernet:
    private = keys.private(keys_folder, kid).as_der(private=True)
    return Fernet(base64.urlsafe_b64encode(hmac.digest(private, PURPOSE, hashlib.sha256)))
