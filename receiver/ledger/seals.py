"""Encryption of the journal: a key for each target, which is encrypted itself with the operator's key file.

The database alone, or a copy of it, reveals no value; deleting a target's key makes its journal unreadable.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, Null, insert, select

from portability.api.errors import BadInput
from receiver.faults import UnknownImport
from receiver.ledger.tables import KEY

_TYPES: Mapping[str, Callable[[str], Any]] = {
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
}


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
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            except FileExistsError:
                pass  # another import made it meanwhile
            else:
                with os.fdopen(handle, "wb") as file:
                    file.write(Fernet.generate_key())
        try:
            return cls(path.read_bytes().strip())
        except OSError as error:
            hint = "give the file that the import has used: --journal-key FILE"
            raise BadInput(f"cannot read the journal key: {type(error).__name__}", hint=hint) from None

    def cipher(self, connection: Connection, target: str) -> Fernet:
        """Return the target's key, made when it is first needed. Raises UnknownImport if another key file made it."""
        found = connection.execute(select(KEY.c.kid, KEY.c.wrapped).where(KEY.c.target == target)).one_or_none()
        if found is None:
            key = Fernet.generate_key()
            connection.execute(insert(KEY).values(target=target, kid=self.kid, wrapped=self._wrap.encrypt(key)))
            return Fernet(key)
        try:
            return Fernet(self._wrap.decrypt(bytes(found.wrapped)))
        except InvalidToken:
            hint = "use the file of --journal-key with which the first import into this target was made"
            raise UnknownImport(
                f"the journal of this target is encrypted with key {found.kid}, not {self.kid}", hint=hint
            ) from None


def sealed(cipher: Fernet, groups: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Encrypt groups of columns' values; every type of the schema keeps its exact value."""
    document = {group: {name: _tagged(value) for name, value in values.items()} for group, values in groups.items()}
    # The groups mostly have equal values: compression makes the second copy free.
    return cipher.encrypt(zlib.compress(json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode(), 1))


def unsealed(cipher: Fernet, content: bytes) -> dict[str, dict[str, Any]]:
    """Decrypt what `sealed` returned."""
    document = json.loads(zlib.decompress(cipher.decrypt(bytes(content))))
    return {
        group: {name: _TYPES[tag](value) if tag else value for name, (tag, value) in values.items()}
        for group, values in document.items()
    }


def _tagged(value: object) -> list[object]:
    # The type stands beside the value: no JSON value of a record can be confused with it.
    if isinstance(value, datetime):
        return ["time", value.isoformat()]
    if isinstance(value, date):
        return ["date", value.isoformat()]
    if isinstance(value, Decimal):
        return ["decimal", str(value)]
    return ["", None if isinstance(value, Null) else value]
