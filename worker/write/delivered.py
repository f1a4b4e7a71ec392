"""What a feed has delivered, as a worker looks it up: by digests, without any key of a record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from portability.feeds.parts import FeedKey

CACHE_KB = 32_000
_PARAMETERS = 500


class DeliveredRecords:
    """The hash of each delivered record and file by its digest, in a temporary database.

    A later entry of the same record replaces an earlier entry.
    """

    def __init__(self, key: FeedKey, parts: Iterable[bytes] = ()) -> None:
        self._key = key
        # An empty name is SQLite's own temporary database: in memory while small, else in an unnamed file.
        self._scratch = sqlite3.connect("", check_same_thread=False)
        self._scratch.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        self._scratch.execute("CREATE TABLE delivered (digest BLOB PRIMARY KEY, hash BLOB) WITHOUT ROWID")
        for part in parts:
            self._scratch.executemany("INSERT OR REPLACE INTO delivered VALUES (?, ?)", key.index(part))

    def hashes(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the hashes of those that are here."""
        found: dict[bytes, bytes] = {}
        for begin in range(0, len(digests), _PARAMETERS):
            some = digests[begin : begin + _PARAMETERS]
            query = f"SELECT digest, hash FROM delivered WHERE digest IN ({','.join('?' * len(some))})"  # noqa: S608 - question marks
            found.update(self._scratch.execute(query, some))
        return found

    def remove(self, parts: Iterable[bytes]) -> None:
        """Remove what parts contain."""
        for part in parts:
            digests = ((digest,) for digest, _hash in self._key.index(part))
            self._scratch.executemany("DELETE FROM delivered WHERE digest = ?", digests)

    def take(self, digests: Sequence[bytes]) -> frozenset[bytes]:
        """Return those that are here, and remove them."""
        found = frozenset(self.hashes(digests))
        self._scratch.executemany("DELETE FROM delivered WHERE digest = ?", ((digest,) for digest in found))
        return found

    def close(self) -> None:
        """Delete the temporary database."""
        self._scratch.close()
