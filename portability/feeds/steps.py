"""How an archive of a feed is read, decided when it is planned: by the changes that sources state, or by hashes.

Its volumes may be written by several workers, one after the other: the step is stored, encrypted like the parts.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from portability.api import JSON, RecordKey
from portability.database import models
from portability.feeds.parts import FeedKey

TABLE = models.feed_step
PURPOSE, AGAIN = b" step", b" again"


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """How far a feed has come by the changes that sources state."""

    number: int
    """Of the archive after which it holds."""
    horizon: Mapping[str, JSON]
    """By exporter: the position from which the next archive asks for changes."""
    scope: str
    """Of everything beside the rows that decides what is delivered: identities, instructions, maps, rules."""
    compared_at: datetime
    """When everything was last compared by hashes."""
    again: str = ""
    """The records that were delivered without a value, encrypted, in Base64: the next archive reads them again."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> FeedProgress:
        """Return the progress that `to_json` has written."""
        return cls(**{**value, "compared_at": datetime.fromisoformat(value["compared_at"])})

    def to_json(self) -> dict[str, JSON]:
        return {**asdict(self), "compared_at": self.compared_at.isoformat()}

    def with_again(self, key: FeedKey, found: Mapping[tuple[str, str], Collection[RecordKey]]) -> FeedProgress:
        """Return it with the records, by exporter and dataset, that the next archive reads again."""
        named = [[*name, list(keys)] for name, keys in sorted(found.items())]
        return replace(self, again=b64encode(key.encrypt(orjson.dumps(named), AGAIN)).decode() if named else "")

    def records_again(self, key: FeedKey) -> Mapping[tuple[str, str], Collection[RecordKey]]:
        """Return the records that `with_again` has encrypted. Raises NoSigningKey for those of another key."""
        named = orjson.loads(key.decrypt(b64decode(self.again), AGAIN)) if self.again else []
        return {(exporter, dataset): {tuple(one) for one in keys} for exporter, dataset, keys in named}

    def is_due(self, days: int, at: datetime) -> bool:
        """Return whether everything must be compared again."""
        return self.compared_at + timedelta(days=days) <= at


@dataclass(frozen=True, slots=True)
class TouchedRecords:
    """The records of a dataset that may have changed."""

    exporter: str
    dataset: str
    fields: tuple[str, ...]
    """Names of the fields of the key."""
    keys: Sequence[RecordKey]


@dataclass(frozen=True, slots=True)
class FeedStep:
    """How one archive is read."""

    covered: frozenset[tuple[str, str]]
    """The datasets, by exporter and name, whose changes sources state."""
    progress: FeedProgress
    """That of the feed after this archive, if it is complete."""
    modes: Mapping[str, str]
    """By exporter, how changes are stated; empty: this archive compares everything by hashes."""
    touched: Sequence[TouchedRecords] = ()

    @property
    def is_by_changes(self) -> bool:
        """Return whether the covered datasets are read by their changes."""
        return bool(self.modes)

    @property
    def read_by_keys(self) -> frozenset[tuple[str, str]]:
        """Return the datasets of which only some records are read."""
        return frozenset((one.exporter, one.dataset) for one in self.touched)

    def seal(self, key: FeedKey) -> bytes:
        """Encrypt it."""
        content = {
            "covered": sorted(self.covered),
            "progress": self.progress.to_json(),
            "modes": dict(self.modes),
            "touched": [[one.exporter, one.dataset, one.fields, one.keys] for one in self.touched],
        }
        return key.encrypt(zlib.compress(orjson.dumps(content), 1), PURPOSE)

    @classmethod
    def open(cls, key: FeedKey, sealed: bytes) -> FeedStep:
        """Decrypt it. Raises NoSigningKey for that of another key."""
        content = orjson.loads(zlib.decompress(key.decrypt(sealed, PURPOSE)))
        return cls(
            frozenset((exporter, dataset) for exporter, dataset in content["covered"]),
            FeedProgress.of(content["progress"]),
            content["modes"],
            [
                TouchedRecords(exporter, dataset, tuple(fields), [tuple(key) for key in keys])
                for exporter, dataset, fields, keys in content["touched"]
            ],
        )


def store(connection: Connection, feed_id: str, export_id: str, sealed: bytes) -> None:
    """Store the step of an archive, in place of that of an earlier attempt."""
    connection.execute(delete(TABLE).where(TABLE.c.feed_id == feed_id))
    connection.execute(insert(TABLE).values(feed_id=feed_id, export_id=export_id, sealed=sealed))


def load(connection: Connection, key: FeedKey, export_id: str) -> FeedStep | None:
    """Return the step of an archive; None: its sources state no changes. Raises NoSigningKey."""
    which = (TABLE.c.feed_id == key.feed_id, TABLE.c.export_id == export_id)
    sealed = connection.scalar(select(TABLE.c.sealed).where(*which))
    return None if sealed is None else FeedStep.open(key, bytes(sealed))
