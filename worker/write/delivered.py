"""What a feed has delivered, as a worker looks it up: by digests, without any key of a record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from portability.feeds.parts import DeliveredEntry, DeliveredName, FeedKey

_PARAMETERS = 500


class DeliveredRecords:
    """What a feed has delivered, by digest, in a temporary database without any key; it is deleted when it is closed.

    A later entry of the same record replaces an earlier entry.
    """

    def __init__(self, key: FeedKey, parts: Iterable[bytes] = ()) -> None:
        self._key = key
        # An empty name is SQLite's own temporary database: in memory while small, else in an unnamed file.
        self._scratch = sqlite3.connect("", check_same_thread=False)
        self._scratch.execute("CREATE TABLE delivered (digest BLOB PRIMARY KEY, hash BLOB) WITHOUT ROWID")
        self.add(parts)

    def add(self, parts: Iterable[bytes]) -> None:
        """Add the entries of parts."""
        for part in parts:
            for name, entries in self._key.open(part):
                self.note(name, entries)

    def hashes(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the delivered hashes of those that were delivered."""
        found: dict[bytes, bytes] = {}
        for begin in range(0, len(digests), _PARAMETERS):
            some = digests[begin : begin + _PARAMETERS]
            query = f"SELECT digest, hash FROM delivered WHERE digest IN ({','.join('?' * len(some))})"  # noqa: S608 - question marks
            found.update(self._scratch.execute(query, some))
        return found

    def lacks(self, name: DeliveredName, entries: Sequence[DeliveredEntry]) -> Sequence[DeliveredEntry]:
        """Return the entries whose record or file is not here, each once."""
        by_digest = {self._key.digest(name, entry.key): entry for entry in entries}
        known = self.hashes(list(by_digest))
        return [entry for digest, entry in by_digest.items() if digest not in known]

    def note(self, name: DeliveredName, entries: Iterable[DeliveredEntry]) -> None:
        """Add entries."""
        rows = ((self._key.digest(name, entry.key), entry.hash) for entry in entries)
        self._scratch.executemany("INSERT OR REPLACE INTO delivered VALUES (?, ?)", rows)

    def close(self) -> None:
        self._scratch.close()
