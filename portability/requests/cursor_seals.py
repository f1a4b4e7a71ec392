"""Seals of cursors: a place in a source is stored encrypted if it may name a person or contain a token.

An exporter marks such a cursor (`PRIVATE_CURSOR`): the URL of a page, the address for which a list is read. Rows of
slices and gaps keep it, encrypted with a key that is derived from the link key, which the control database does not
have. The worker carries a stored cursor as it is, and opens it only for its exporter. Exports need no link key: a
worker without one stores cursors as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection

from portability.api import PRIVATE_CURSOR, Cursor
from portability.errors import NoSigningKey
from portability.trust import keys
from portability.trust.sealing import cipher

PURPOSE = b"portability cursor 1"
PLACES: Mapping[str, tuple[str, ...]] = {"files": ("resume",), "slice": ("begin", "end")}
"""Where a stored reading or position has cursors beside `after`: the bounds of slices are written like cursors."""
_SEALED = re.compile(r"sealed:([A-Za-z0-9_-]+):([A-Za-z0-9_=-]+)")
"""The key's id, and the encrypted cursor."""


def opened(keys_folder: Path, cursor: Cursor) -> Cursor:
    """Return a cursor as its exporter wrote it. Raises NoSigningKey if the file of its key is not on this machine.

    One that an earlier release has stored is not sealed. What the key does not open stays as it is: the exporter
    refuses it as invalid.
    """
    if found := _SEALED.fullmatch(cursor):
        try:
            return cipher(keys_folder, found[1], PURPOSE).decrypt(found[2]).decode()
        except InvalidToken:
            return cursor
    return cursor


def has_seal(frozen: Mapping[str, Any]) -> bool:
    """Return whether a stored reading or position has a sealed cursor: workers of earlier releases cannot open it."""
    return any(_SEALED.fullmatch(cursor) for cursor in _cursors(frozen))


class CursorSealer:
    """Seals the cursors of rows that one transaction stores, equal cursors alike.

    A retry reads once for all gaps at one place, and compares the stored places.
    """

    def __init__(self, connection: Connection, keys_folder: Path) -> None:
        self._connection = connection
        self._folder = keys_folder
        self._known: dict[Cursor, Cursor] = {}

    def sealed(self, frozen: Mapping[str, Any]) -> dict[str, Any]:
        """Return a reading or position as it is stored: private cursors sealed, if this machine has the link key."""
        return _changed(frozen, self._seal)

    def _seal(self, cursor: Cursor) -> Cursor:
        if cursor.startswith(PRIVATE_CURSOR) and cursor not in self._known and self._newest:
            kid, seal = self._newest
            self._known[cursor] = f"sealed:{kid}:{seal.encrypt(cursor.encode()).decode()}"
        return self._known.get(cursor, cursor)

    @cached_property
    def _newest(self) -> tuple[str, Fernet] | None:
        with suppress(NoSigningKey):
            kid = keys.signing(self._connection, self._folder, purpose="link").kid or ""
            return kid, cipher(self._folder, kid, PURPOSE)
        return None


def _cursors(frozen: Mapping[str, Any]) -> Iterator[Cursor]:
    if after := frozen.get("after"):
        yield after
    for name, places in PLACES.items():
        yield from (inner[place] for place in places if (inner := frozen.get(name)) and inner.get(place))


def _changed(frozen: Mapping[str, Any], change: Callable[[Cursor], Cursor]) -> dict[str, Any]:
    kept = dict(frozen)
    if after := kept.get("after"):
        kept["after"] = change(after)
    for name, places in PLACES.items():
        if inner := kept.get(name):
            kept[name] = inner | {place: change(inner[place]) for place in places if inner.get(place)}
    return kept
