"""A temporary database on disk for the time of an import: its full disk is that of this side, and not of the target."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from portability.database.sqlite_files import DISK_FAULTS
from receiver.faults import NoRoom

NO_ROOM_HINT = (
    "free some space in the folder for temporary files (SQLITE_TMPDIR, TMPDIR, else /var/tmp), or set SQLITE_TMPDIR to "
    "another disk, and run the same command again"
)


class ScratchDatabase:
    """An unnamed database of SQLite: in memory while small, else in an unnamed file. It has one connection.

    Each method raises NoRoom if the disk of temporary files is full or fails.
    """

    def __init__(self, schema: str) -> None:
        self._connection = sqlite3.connect("")
        with _disk_faults_named():
            self._connection.executescript(schema)

    def add(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows; returns how many were inserted."""
        with _disk_faults_named():
            return self._connection.executemany(statement, rows).rowcount

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; to read them can write, too: SQLite makes room in its memory."""
        with _disk_faults_named():
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Delete the database."""
        self._connection.close()


@contextmanager
def _disk_faults_named() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # Errors of the module itself have no name.
        name = getattr(error, "sqlite_errorname", "")
        if not re.match(DISK_FAULTS, name):
            raise
        raise NoRoom(f"cannot write the temporary database of the import: {name}", hint=NO_ROOM_HINT) from None
