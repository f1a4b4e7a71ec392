"""The index of the viewer: where each record is, the list of conversations, and sums of whole datasets.

It is filled while the records of a volume pass, and stored beside the volume; the closing volume's is the sum of all.
It is a temporary database on disk, so that its memory does not grow with the number of conversations.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from weakref import finalize

import orjson

from archive.parts import Member
from archive.viewer.entries import TIMES, Sums, TalkEntry
from archive.viewer.parts import Shown
from archive.viewer.talks import CHARTED, TALKS
from portability.api import JSON, Dataset

VERSION = 1
VALUES_SHOWN = 8
BATCH = 500
_TABLES = {
    "shard": "exporter, dataset, volume, number, rows, corrects",
    "talk": "exporter, id, at, facts, volume, number, row",
    "run": "exporter, dataset, parent, volume, number, row, rows, words",
    "sums": "exporter, dataset, field, value, n",
    "file": "exporter, dataset, name, path, volume, bytes, media_type, state",
}
_SCHEMA = """
pragma journal_mode = off;
pragma synchronous = off;
pragma temp_store = file;
create table shard (exporter, dataset, volume, number, rows, corrects);
create table talk (exporter, id, at, facts, volume, number, row, primary key (exporter, id)) without rowid;
create table run (exporter, dataset, parent, volume, number, row, rows, words);
create index run_parent on run (exporter, parent);
create table file (exporter, dataset, name, path, volume, bytes, media_type, state);
create index file_name on file (exporter, dataset, name);
create table sums (exporter, dataset, field, value, n, primary key (exporter, dataset, field, value)) without rowid;
"""
_INSERTS = {
    "shard": "insert into shard values (?, ?, ?, ?, ?, ?)",
    "talk": "insert or replace into talk values (?, ?, ?, ?, ?, ?, ?)",
    "run": "insert into run values (?, ?, ?, ?, ?, ?, ?, ?)",
    "file": "insert into file values (?, ?, ?, ?, ?, ?, ?, ?)",
    "sums": "insert into sums values (?, ?, ?, ?, ?) "
    "on conflict (exporter, dataset, field, value) do update set n = n + excluded.n",
}
_ALL_TALKS = """
select id, at, facts, volume, number, row from talk where exporter = :exporter
union all
select distinct parent, null, null, null, null, null from run where exporter = :exporter and parent is not null
    and not exists (select 1 from talk where talk.exporter = run.exporter and talk.id = run.parent)
order by at desc nulls last, id
"""
"""Also the conversations of which only parts are there."""


class DamagedIndex(ValueError):
    """An index that is not of the form that `dump` writes."""


@dataclass(frozen=True, slots=True)
class ShardPlace:
    """One shard of a dataset."""

    volume: str
    number: int
    rows: int
    corrects: bool
    """Whether its records replace records with the same key."""


class ViewerIndex:
    """The index of a volume, or of an archive."""

    def __init__(self) -> None:
        # A database without a name is a temporary file, which SQLite deletes when it is closed.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        finalize(self, self._database.close)  # pages are made from it while they are written: nothing else ends it
        self._database.executescript(_SCHEMA)

    def add(
        self,
        exporter: str,
        dataset: Dataset,
        place: tuple[str, int],
        rows: int,
        talks: Iterable[TalkEntry] = (),
        *,
        corrects: bool = False,
    ) -> None:
        """Add one shard, which is at this volume and number, and what its records say of conversations."""
        self._insert("shard", [(exporter, dataset.name, *place, rows, corrects)])
        talk = TALKS.get(exporter)
        table = "talk" if talk is not None and dataset.name == talk.parent else "run"
        self._insert(table, ((*before, *place, *after) for before, after in talks))

    def count(self, exporter: str, dataset: Dataset, counted: Sums) -> None:
        """Add sums of records; numbers below zero take away those of records that were replaced."""
        self._insert("sums", ((exporter, dataset.name, *bucket, n) for bucket, n in counted.items() if n))

    def note(self, volume: str, members: Iterable[Member]) -> None:
        """Add the places of a volume's recordings and attachments."""
        self._insert(
            "file",
            (
                (of.exporter, of.dataset.name, of.file, member.path, volume, member.bytes, of.media_type, of.state)
                for member in members
                if (of := member.content).file is not None
            ),
        )

    def dump(self) -> Iterator[bytes]:
        """Yield everything as compressed lines of JSON."""
        packer = zlib.compressobj(1)
        yield packer.compress(orjson.dumps({"version": VERSION}) + b"\n")
        for table, columns in _TABLES.items():
            rows = self._database.execute(f"select {columns} from {table}")  # noqa: S608  # names of this module
            while some := rows.fetchmany(BATCH):
                yield packer.compress(b"".join(orjson.dumps([table, *row]) + b"\n" for row in some))
        yield packer.flush()

    def absorb(self, blocks: Iterable[bytes]) -> None:
        """Add what another index dumped; later volumes last. Raises DamagedIndex."""
        try:
            lines = _lines(blocks)
            if orjson.loads(next(lines, b""))["version"] != VERSION:
                raise DamagedIndex("an index of another version")
            for table, rows in groupby(map(orjson.loads, lines), key=lambda row: row[0]):
                self._insert(table, (row[1:] for row in rows))
        except (zlib.error, ValueError, TypeError, KeyError, IndexError, sqlite3.Error):
            raise DamagedIndex("an index is damaged") from None

    def shards(self) -> Mapping[tuple[str, str], Sequence[ShardPlace]]:
        """Return the shards by exporter and dataset, those of corrections last."""
        found: defaultdict[tuple[str, str], list[ShardPlace]] = defaultdict(list)
        columns = "exporter, dataset, volume, number, rows, corrects"
        for exporter, dataset, volume, number, rows, corrects in self._database.execute(
            f"select {columns} from shard order by corrects, rowid"  # noqa: S608  # names of this module
        ):
            found[exporter, dataset].append(ShardPlace(volume, number, rows, bool(corrects)))
        return found

    def sums(self, exporter: str, dataset: str) -> Mapping[str, Mapping[str, int]]:
        """Return by field the counts by month, or for a charted field those of its most frequent values."""
        charted = CHARTED.get((exporter, dataset))
        of = {"exporter": exporter, "dataset": dataset, "field": charted, "most": VALUES_SHOWN}
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        where = "exporter = :exporter and dataset = :dataset and n > 0"
        months = f"select field, value, n from sums where {where} and field is not :field"  # noqa: S608  # names of this module
        values = f"select field, value, n from sums where {where} and field = :field order by n desc limit :most"  # noqa: S608  # names of this module
        for statement in (months, values):
            for field, value, n in self._database.execute(statement, of):
                found[field][value] = n
        return dict(found)

    def months(self, exporter: str, dataset: Dataset) -> Mapping[str, int]:
        """Return the numbers of a dataset's records by the month in which they happened, as the viewer's charts do."""
        found = self.sums(exporter, dataset.name)
        times = [field.name for field in dataset.fields if field.type in TIMES and field.name in found]
        named = next((name for name in times if not name.startswith("created_")), None)
        chosen = named or ("created_at" if "created_at" in times else None)
        return found[chosen] if chosen else {}

    def listed(self, exporter: str) -> Iterator[list[JSON]]:
        """Yield an entry for each conversation, the newest first.

        An entry is [id, time, facts, number of messages, first words, place, runs]. A place is [shard, row], or null; a
        run is [dataset, shard, row, rows]: consecutive records of it in a shard. `dataset` is an index into
        `TalkForm.children`, and `shard` into the shards of the dataset.
        """
        talk, shards = TALKS[exporter], self.shards()
        at = {
            (name, shard.volume, shard.number): place
            for name in (talk.parent, *talk.children)
            for place, shard in enumerate(shards.get((exporter, name), ()))
        }
        corrections = {(shard.volume, shard.number) for places in shards.values() for shard in places if shard.corrects}
        columns = "dataset, volume, number, row, rows, words"
        runs = f"select {columns} from run where exporter = ? and parent = ? order by rowid"  # noqa: S608  # names of this module
        for parent, time, facts, volume, number, row in self._database.execute(_ALL_TALKS, {"exporter": exporter}):
            found, said, words = [], 0, None
            for dataset, *shard, begin, rows, beginning in self._database.execute(runs, (exporter, parent)):
                found.append([talk.children.index(dataset), at[dataset, *shard], begin, rows])
                if dataset == talk.said and tuple(shard) not in corrections:
                    said, words = said + rows, words or beginning
            place = [at[talk.parent, volume, number], row] if volume else None
            known = orjson.loads(facts) if facts else [None] * (len(talk.facts) + 1)
            yield [parent, time, known[1:], said, known[0] or words, place, found]

    def listed_ids(self, exporter: str) -> Iterator[list[JSON]]:
        """Yield [id, place in `listed`] of each conversation, in the order of the ids."""
        ranked = f"select id, row_number() over () - 1 as place from ({_ALL_TALKS})"  # noqa: S608  # names of this module
        rows = self._database.execute(f"select id, place from ({ranked}) order by id", {"exporter": exporter})  # noqa: S608  # names of this module
        return (list(row) for row in rows)

    def files(self, exporter: str, dataset: str) -> Iterator[Shown]:
        """Yield the files of a dataset in the order of their names."""
        columns = "path, volume, bytes, media_type, null, name, state"
        statement = f"select {columns} from file where exporter = ? and dataset = ? order by name, rowid"  # noqa: S608  # names of this module
        return (Shown(*row) for row in self._database.execute(statement, (exporter, dataset)))

    def _insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        self._database.executemany(_INSERTS[table], rows)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack the blocks and yield their lines."""
    unpacker, pending = zlib.decompressobj(), b""
    for block in blocks:
        *lines, pending = (pending + unpacker.decompress(block)).split(b"\n")
        yield from lines
    if not unpacker.eof or unpacker.unused_data or pending:
        raise DamagedIndex("an index that ends elsewhere")
