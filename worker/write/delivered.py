"""What a feed has delivered, as a worker looks it up: by digests, without any key of a record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, count

from portability.feeds.parts import GONE, HASH_BYTES, WORD_BYTES, FeedKey

CACHE_KB = 32_000
_PARAMETERS = 500

Wanted = Mapping[tuple[str, str], Sequence[bytes]]
"""By exporter and dataset: the digests of the records that matter."""


class DeliveredRecords:
    """The hash of each delivered record and file by its digest, in a temporary database.

    A later entry of the same record replaces an earlier entry. Of `lookups` it takes the records that are wanted, with
    the first bytes of their hashes, and all files.
    """

    def __init__(
        self,
        key: FeedKey,
        parts: Iterable[bytes] = (),
        lookups: Iterable[bytes] = (),
        wanted: Wanted | None = None,
    ) -> None:
        self._key = key
        # An empty name is SQLite's own temporary database: in memory while small, else in an unnamed file.
        self._scratch = sqlite3.connect("", check_same_thread=False)
        self._scratch.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        self._scratch.execute("CREATE TABLE delivered (digest BLOB PRIMARY KEY, hash BLOB) WITHOUT ROWID")
        for part in parts:
            self._insert(key.index(part))
        words = {name: {_word(digest): digest for digest in digests} for name, digests in (wanted or {}).items()}
        for lookup in lookups:
            self._insert(_found(key, lookup, words))
        self._scratch.execute("DELETE FROM delivered WHERE hash IN (?, ?)", [GONE, GONE[:WORD_BYTES]])

    def _insert(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        self._scratch.executemany("INSERT OR REPLACE INTO delivered VALUES (?, ?)", entries)

    def hashes(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the hashes of those that are here."""
        found: dict[bytes, bytes] = {}
        for begin in range(0, len(digests), _PARAMETERS):
            some = digests[begin : begin + _PARAMETERS]
            query = f"SELECT digest, hash FROM delivered WHERE digest IN ({','.join('?' * len(some))})"  # noqa: S608 - question marks
            found.update(self._scratch.execute(query, some))
        return found

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is here."""
        return self._scratch.execute("SELECT 1 FROM delivered LIMIT 1").fetchone() is None

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


def _found(
    key: FeedKey, lookup: bytes, words: Mapping[tuple[str, str], Mapping[int, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield digest and hash of what is wanted."""
    for name, digests, hashes in key.open_lookup(lookup):
        if not name.key:
            yield from zip(_cut(digests, HASH_BYTES), _cut(hashes, HASH_BYTES), strict=True)
            continue
        wanted, firsts = words.get((name.exporter, name.dataset), {}), digests.cast("Q")
        for place in compress(count(), map(wanted.__contains__, firsts)):
            yield wanted[firsts[place]], bytes(hashes[place * WORD_BYTES : (place + 1) * WORD_BYTES])


def _cut(values: memoryview, size: int) -> Iterator[bytes]:
    return (bytes(values[begin : begin + size]) for begin in range(0, len(values), size))


def _word(digest: bytes) -> int:
    return memoryview(digest)[:WORD_BYTES].cast("Q")[0]
