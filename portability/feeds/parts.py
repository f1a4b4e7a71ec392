"""What a feed has delivered: keys and hashes of records, in encrypted parts that the control database stores.

A part is JSON, compressed, encrypted with AES-256-GCM under the feed's key, and bound to the feed by its id. The key is
sealed with the link key of this machine. Erasing it makes all parts unreadable at once.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple, TypeAlias

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Connection, Engine, insert, select

from portability.database import models
from portability.database.engine import reading
from portability.database.sessions import binary_results
from portability.errors import NoSigningKey
from portability.feeds.errors import FeedEnded
from portability.trust import keys, sealing
from portability.trust.sealing import cipher

TABLE = models.feed_part
PURPOSE = b"portability feed 1"
NONCE_BYTES, HASH_BYTES = 12, 16
UNKNOWN = bytes(HASH_BYTES)
"""The hash of a record that was delivered without a value that it has: the next archive contains it again."""
GONE = b"\xff" * HASH_BYTES
"""The hash of a record that an archive has reported as gone, where earlier parts with the record stay."""
PAGE, LOOKUPS_PAGE = 16, 64
"""Parts and lookups that are fetched together: up to about 20 MB."""
_LENGTHS = Struct(">II")
"""Bytes of the two sections at the beginning of a part: names of datasets, and keys."""
_PAIR = Struct(f"{HASH_BYTES}s{HASH_BYTES}s")
WORD_BYTES = 8
LOOKUP = b" lookup"
"""The purpose of what is encrypted beside a part."""


class DeliveredName(NamedTuple):
    """A dataset of delivered records, or of delivered files."""

    exporter: str
    dataset: str
    key: tuple[str, ...]
    """Names of the fields of the key; empty for files, whose key is their name."""


class DeliveredEntry(NamedTuple):
    """One record or file that was delivered."""

    key: tuple[Any, ...]
    hash: bytes
    """Of its content; UNKNOWN if it has to be delivered again."""
    digest: bytes
    """Of its key: it identifies the record or file, and only the feed's key makes it."""


DeliveredGroup: TypeAlias = tuple[DeliveredName, Sequence[DeliveredEntry]]


class SealedPart(NamedTuple):
    """An encrypted part."""

    sealed: bytes
    lookup: bytes | None
    """What finds a few records among many; None: its datasets are not those whose changes sources state."""


@dataclass(frozen=True, slots=True)
class FeedKey:
    """The key of one feed."""

    feed_id: str
    secret: bytes = field(repr=False)

    @classmethod
    def unsealed(cls, row: Mapping[Any, Any], keys_folder: Path) -> FeedKey:
        """Unseal the key of a feed's row. Raises FeedEnded, NoSigningKey."""
        if row["sealed_key"] is None or row["ended_at"] is not None:
            raise FeedEnded(f"feed {row['id']} has ended")
        return cls(row["id"], sealing.opened(keys_folder, row["kid"], PURPOSE, bytes(row["sealed_key"])))

    def seal(self, groups: Iterable[DeliveredGroup]) -> bytes:
        """Encrypt entries by their dataset."""
        groups = list(groups)
        heads = orjson.dumps([[*name, len(entries)] for name, entries in groups])
        keys_text = zlib.compress(orjson.dumps([[entry.key for entry in entries] for _name, entries in groups]), 1)
        hashes = b"".join(entry.digest + entry.hash for _name, entries in groups for entry in entries)
        return self.encrypt(b"".join([_LENGTHS.pack(len(heads), len(keys_text)), heads, keys_text, hashes]))

    def open(self, part: bytes) -> Iterator[DeliveredGroup]:
        """Yield the entries of a part by their dataset. Raises NoSigningKey for a part of another key."""
        heads, keys_text, hashes = self._sections(part)
        pairs = _PAIR.iter_unpack(hashes)
        for (exporter, dataset, names, count), found in zip(
            orjson.loads(heads), orjson.loads(zlib.decompress(keys_text)), strict=True
        ):
            of_group = islice(pairs, count)
            entries = [DeliveredEntry(tuple(key), one, digest) for key, (digest, one) in zip(found, of_group)]  # noqa: B905  # a slice of the iterator
            yield DeliveredName(exporter, dataset, tuple(names)), entries

    def index(self, part: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield digest and hash of each entry of a part, without the keys. Raises NoSigningKey."""
        return _PAIR.iter_unpack(self._sections(part)[2])

    def seal_lookup(self, groups: Iterable[DeliveredGroup]) -> bytes:
        """Encrypt what finds a few records among many: the first WORD_BYTES of digests and hashes; of files, all."""
        groups = list(groups)
        heads = orjson.dumps([[*name, len(entries)] for name, entries in groups])
        sections = [
            section
            for name, entries in groups
            for section in (
                [_cut(entry.digest, name) for entry in entries] + [_cut(entry.hash, name) for entry in entries]
            )
        ]
        return self.encrypt(b"".join([_LENGTHS.pack(len(heads), 0), heads, *sections]), LOOKUP)

    def open_lookup(self, sealed: bytes) -> Iterator[tuple[DeliveredName, memoryview, memoryview]]:
        """Yield the digests and the hashes by their dataset, as `seal_lookup` cut them. Raises NoSigningKey."""
        text = self.decrypt(sealed, LOOKUP)
        begin = _LENGTHS.size + _LENGTHS.unpack_from(text)[0]
        rest = memoryview(text)[begin:]
        for exporter, dataset, names, count in orjson.loads(text[_LENGTHS.size : begin]):
            size = count * (WORD_BYTES if names else HASH_BYTES)
            yield DeliveredName(exporter, dataset, tuple(names)), rest[:size], rest[size : 2 * size]
            rest = rest[2 * size :]

    def encrypt(self, text: bytes, purpose: bytes = b"") -> bytes:
        """Encrypt a text, bound to the feed and to its purpose."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self.secret).encrypt(nonce, text, self.feed_id.encode() + purpose)

    def decrypt(self, sealed: bytes, purpose: bytes = b"") -> bytes:
        """Decrypt a text. Raises NoSigningKey for one of another key or purpose."""
        nonce, text = memoryview(sealed)[:NONCE_BYTES], memoryview(sealed)[NONCE_BYTES:]
        try:
            return AESGCM(self.secret).decrypt(nonce, text, self.feed_id.encode() + purpose)
        except InvalidTag:
            raise NoSigningKey(f"a part of feed {self.feed_id} was encrypted with another key") from None

    def _sections(self, part: bytes) -> tuple[bytes, bytes, bytes]:
        text = self.decrypt(part)
        of_heads, of_keys = _LENGTHS.unpack_from(text)
        first = _LENGTHS.size + of_heads
        return text[_LENGTHS.size : first], text[first : first + of_keys], text[first + of_keys :]

    def digests(self, name: DeliveredName, found: Iterable[Sequence[Any]]) -> list[bytes]:
        """Return the digests of the keys of one dataset, `HASH_BYTES` long."""
        begun = self._hasher()
        begun.update(orjson.dumps([name.exporter, name.dataset, not name.key]))
        return [_finished(begun, orjson.dumps(key)) for key in found]

    def hashes(self, contents: Iterable[bytes]) -> list[bytes]:
        """Return the keyed hashes of contents, `HASH_BYTES` long (BLAKE2b, RFC 7693)."""
        begun = self._hasher()
        return [_finished(begun, content) for content in contents]

    def _hasher(self) -> hashlib.blake2b:
        return hashlib.blake2b(digest_size=HASH_BYTES, key=self.secret)


def _cut(value: bytes, name: DeliveredName) -> bytes:
    return value[:WORD_BYTES] if name.key else value


def _finished(begun: hashlib.blake2b, content: bytes) -> bytes:
    hasher = begun.copy()
    hasher.update(content)
    return hasher.digest()


def new_sealed_key(connection: Connection, keys_folder: Path) -> Mapping[str, Any]:
    """Return the columns of a new key. Raises NoSigningKey."""
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    return {"kid": kid, "sealed_key": cipher(keys_folder, kid, PURPOSE).encrypt(secrets.token_bytes(32))}


def store(
    connection: Connection, feed_id: str, number: int, export_id: str, volume: int, sealed: Iterable[SealedPart]
) -> None:
    """Store the parts of one volume of the archive with this number."""
    fixed = {"feed_id": feed_id, "number": number, "export_id": export_id, "volume": volume}
    for piece, part in enumerate(sealed):
        connection.execute(insert(TABLE).values(**fixed, piece=piece, **part._asdict()))


def until(engine: Engine, feed_id: str, number: int, *, but_by_changes: bool = False) -> Iterator[bytes]:
    """Yield the parts of all archives up to this number, in the order in which they were written.

    `but_by_changes` leaves out those of datasets whose changes sources state.
    """
    chosen = [TABLE.c.lookup.is_(None)] if but_by_changes else []
    return _pages(engine, TABLE.c.sealed, TABLE.c.feed_id == feed_id, TABLE.c.number <= number, *chosen)


def lookups(engine: Engine, feed_id: str, number: int) -> Iterator[bytes]:
    """Yield what finds records in the parts that `but_by_changes` leaves out, in the order of the parts."""
    chosen = (TABLE.c.feed_id == feed_id, TABLE.c.number <= number, TABLE.c.lookup.is_not(None))
    return _pages(engine, TABLE.c.lookup, *chosen, count=LOOKUPS_PAGE)


def of_export(engine: Engine, feed_id: str, export_id: str) -> Iterator[bytes]:
    """Yield the parts of an export whose volumes are being written."""
    return _pages(engine, TABLE.c.sealed, TABLE.c.feed_id == feed_id, TABLE.c.export_id == export_id)


def _pages(engine: Engine, column: Column[Any], *which: Any, count: int = PAGE) -> Iterator[bytes]:  # noqa: ANN401  # conditions
    """Yield parts page by page: no transaction is open while one is used."""
    ordered = select(column).where(*which).order_by(TABLE.c.number, TABLE.c.volume, TABLE.c.piece)
    offset = 0
    while True:
        with reading(engine) as connection, binary_results(connection):
            page = [bytes(part) for part in connection.scalars(ordered.limit(count).offset(offset))]
        yield from page
        offset += len(page)
        if len(page) < count:
            return
