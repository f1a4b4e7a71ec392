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
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, delete, insert, select

from portability.database import models
from portability.database.engine import reading
from portability.errors import NoSigningKey
from portability.feeds.errors import FeedEnded
from portability.trust import keys
from portability.trust.sealing import cipher

TABLE = models.feed_part
PURPOSE = b"portability feed 1"
NONCE_BYTES, HASH_BYTES = 12, 16
UNKNOWN = bytes(HASH_BYTES)
"""The hash of a record that was delivered without a value that it has: the next archive contains it again."""
PAGE = 16


class DeliveredName(NamedTuple):
    """A dataset of delivered records, or of delivered files."""

    exporter: str
    dataset: str
    key: tuple[str, ...]
    """Names of the fields of the key; empty for files, whose key is their name."""


class DeliveredEntry(NamedTuple):
    """One record or file that was delivered."""

    key: tuple[Any, ...]
    hash: bytes = UNKNOWN


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
        try:
            return cls(row["id"], cipher(keys_folder, row["kid"], PURPOSE).decrypt(bytes(row["sealed_key"])))
        except InvalidToken:
            raise NoSigningKey(f"the link key {row['kid']} of this machine does not open feed {row['id']}") from None

    def seal(self, groups: Iterable[tuple[DeliveredName, Sequence[DeliveredEntry]]]) -> bytes:
        """Encrypt entries by their dataset."""
        listed = [
            [*name, [entry.key for entry in entries], b"".join(entry.hash for entry in entries).hex()]
            for name, entries in groups
        ]
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = zlib.compress(orjson.dumps(listed), 1)
        return nonce + AESGCM(self.secret).encrypt(nonce, text, self.feed_id.encode())

    def open(self, part: bytes) -> Iterator[tuple[DeliveredName, Sequence[DeliveredEntry]]]:
        """Yield the entries of a part by their dataset. Raises NoSigningKey for a part of another key."""
        try:
            text = AESGCM(self.secret).decrypt(part[:NONCE_BYTES], part[NONCE_BYTES:], self.feed_id.encode())
        except InvalidTag:
            raise NoSigningKey(f"a part of feed {self.feed_id} was encrypted with another key") from None
        for exporter, dataset, names, found, joined in orjson.loads(zlib.decompress(text)):
            hashes = bytes.fromhex(joined)
            cut = [hashes[begin : begin + HASH_BYTES] for begin in range(0, len(hashes), HASH_BYTES)]
            entries = [DeliveredEntry(tuple(key), one) for key, one in zip(found, cut, strict=True)]
            yield DeliveredName(exporter, dataset, tuple(names)), entries

    def digest(self, name: DeliveredName, key: Sequence[Any]) -> bytes:
        """Return what identifies a record or file without its key: only this feed's key finds it again."""
        return self.hash(orjson.dumps([name.exporter, name.dataset, not name.key, *key]))

    def hash(self, content: bytes) -> bytes:
        """Return the keyed hash of a content, `HASH_BYTES` long (BLAKE2b, RFC 7693); never `UNKNOWN`."""
        found = hashlib.blake2b(content, digest_size=HASH_BYTES, key=self.secret).digest()
        return found if found != UNKNOWN else bytes([1, *found[1:]])


def new_sealed_key(connection: Connection, keys_folder: Path) -> Mapping[str, Any]:
    """Return the columns of a new key. Raises NoSigningKey."""
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    return {"kid": kid, "sealed_key": cipher(keys_folder, kid, PURPOSE).encrypt(secrets.token_bytes(32))}


def store(
    connection: Connection, feed_id: str, number: int, export_id: str, volume: int, sealed: Iterable[bytes]
) -> None:
    """Store the parts of one volume of the archive with this number."""
    fixed = {"feed_id": feed_id, "number": number, "export_id": export_id, "volume": volume}
    for piece, part in enumerate(sealed):
        connection.execute(insert(TABLE).values(**fixed, piece=piece, sealed=part))


def until(engine: Engine, feed_id: str, number: int) -> Iterator[bytes]:
    """Yield the parts of all archives up to this number, in the order in which they were written."""
    return _pages(engine, TABLE.c.feed_id == feed_id, TABLE.c.number <= number)


def of_export(engine: Engine, feed_id: str, export_id: str) -> Iterator[bytes]:
    """Yield the parts of an export whose volumes are being written."""
    return _pages(engine, TABLE.c.feed_id == feed_id, TABLE.c.export_id == export_id)


def _pages(engine: Engine, *which: Any) -> Iterator[bytes]:  # noqa: ANN401  # conditions
    """Yield parts page by page: no transaction is open while one is used."""
    ordered = select(TABLE.c.sealed).where(*which).order_by(TABLE.c.number, TABLE.c.volume, TABLE.c.piece)
    offset = 0
    while True:
        with reading(engine) as connection:
            page = [bytes(part) for part in connection.scalars(ordered.limit(PAGE).offset(offset))]
        yield from page
        offset += len(page)
        if len(page) < PAGE:
            return


def discard_export(connection: Connection, export_id: str) -> None:
    """Delete what an attempt at an export has stored."""
    connection.execute(delete(TABLE).where(TABLE.c.export_id == export_id))
