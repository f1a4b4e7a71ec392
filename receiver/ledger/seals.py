"""Encryption of the journal: a key for each target, which is encrypted itself with the operator's key file.

The database alone, or a copy of it, reveals no value; deleting a target's key makes its journal unreadable.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from portability.api.errors import BadInput
from portability.trust import key_files
from receiver.faults import UnknownImport
from receiver.ledger.tables import KEY

Groups = Mapping[str, Mapping[str, Any]]
"""Values by column, in groups with a name each."""
_TYPES: Mapping[str, Callable[[str], Any]] = {
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "float": float,
}
_TAGS: Mapping[type[object], str] = {datetime: "time", date: "date", Decimal: "decimal", float: "float"}
_VERSION = b"\x02"
"""First byte of what is encrypted by AES-GCM. Entries of earlier releases are Fernet tokens, which begin with `g`."""
_NONCE_BYTES = 12


class JournalCipher:
    """Encrypts and decrypts entries of one target with its key, 32 bytes in URL-safe base64."""

    def __init__(self, key: bytes) -> None:
        self._earlier = Fernet(key)
        derived = hashlib.sha256(b"portability import journal entries 2" + urlsafe_b64decode(key)).digest()
        self._current = AESGCM(derived)

    def seal(self, groups: Groups) -> bytes:
        """Encrypt groups of columns' values; every type of the schema keeps its exact value."""
        plain, nonce = _plain(groups), os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._current.encrypt(nonce, plain, _VERSION)

    def open(self, content: bytes) -> dict[str, dict[str, Any]]:
        """Decrypt what `seal` returned, or an entry of an earlier release. Raises UnknownImport if it was changed."""
        content, begin = bytes(content), 1 + _NONCE_BYTES
        try:
            if content[:1] != _VERSION:
                return _of_earlier_release(self._earlier.decrypt(content))
            plain = self._current.decrypt(content[1:begin], content[begin:], _VERSION)
        except (InvalidToken, InvalidTag, ValueError):
            hint = "restore the schema portability_import from a backup"
            raise UnknownImport("an entry of the journal was changed after it was written", hint=hint) from None
        types, groups = json.loads(plain)
        for name, tags in types.items():
            values = groups[name]
            values.update({column: _TYPES[tag](values[column]) for column, tag in tags.items()})
        return dict(groups)


class JournalKey:
    """The operator's key, 32 random bytes in URL-safe base64."""

    def __init__(self, key: bytes) -> None:
        try:
            self._wrap = Fernet(key)
        except ValueError:
            raise BadInput(
                "the journal key is not a key of 32 bytes in base64", hint="name a new file: it is made"
            ) from None
        self.kid = hashlib.sha256(b"portability import journal 1" + key).hexdigest()[:16]

    @classmethod
    def at(cls, path: Path, *, make: bool) -> JournalKey:
        """Read the key file; with `make` a missing file is made, readable by its owner only. Raises BadInput."""
        if make and not path.exists():
            with suppress(FileExistsError):  # another import made it meanwhile
                key_files.make(path, Fernet.generate_key())
        try:
            return cls(path.read_bytes().strip())
        except OSError as error:
            hint = "give the file that the import has used: --journal-key FILE"
            raise BadInput(f"cannot read the journal key: {type(error).__name__}", hint=hint) from None

    def cipher(self, connection: Connection, target: str) -> JournalCipher:
        """Return the target's key, made when it is first needed. Raises UnknownImport if another key file made it."""
        found = connection.execute(select(KEY.c.kid, KEY.c.wrapped).where(KEY.c.target == target)).one_or_none()
        if found is None:
            key = Fernet.generate_key()
            connection.execute(insert(KEY).values(target=target, kid=self.kid, wrapped=self._wrap.encrypt(key)))
            return JournalCipher(key)
        try:
            return JournalCipher(self._wrap.decrypt(bytes(found.wrapped)))
        except InvalidToken:
            hint = "use the file of --journal-key with which the first import into this target was made"
            raise UnknownImport(
                f"the journal of this target is encrypted with key {found.kid}, not {self.kid}", hint=hint
            ) from None


def _plain(groups: Groups) -> bytes:
    # The types stand beside the values: no JSON value of a record can be confused with them.
    types = {
        name: {column: _TAGS[type(value)] for column, value in values.items() if type(value) in _TAGS}
        for name, values in groups.items()
    }
    floats = [groups[name][column] for name, tags in types.items() for column, tag in tags.items() if tag == "float"]
    if all(map(isfinite, floats)):
        try:
            return orjson.dumps((types, groups), default=_text, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except orjson.JSONEncodeError:
            pass  # an integer of more than 64 bits in a JSON value
    return json.dumps((types, groups), default=_text, separators=(",", ":")).encode()


def _text(value: object) -> str:
    if isinstance(value, date):  # and a time
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError


def _of_earlier_release(plain: bytes) -> dict[str, dict[str, Any]]:
    document = json.loads(zlib.decompress(plain))
    return {
        group: {name: _TYPES[tag](value) if tag else value for name, (tag, value) in values.items()}
        for group, values in document.items()
    }
