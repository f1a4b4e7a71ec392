"""The changes of a feed's archive: tombstones of what is gone since the archive before, and the cursor after it.

A record is gone if it was delivered and its dataset was read to the end without it. Of a dataset that was not read to
its end nothing is said: what was delivered of it stays, and the next archive compares it again.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from itertools import chain
from typing import Any

import orjson
import structlog

from archive import bag
from archive.parts import FORMAT
from portability.api import (
    COVERAGE_UNDECIDED,
    COVERAGE_UNKNOWN,
    JSON,
    NEEDS_REVIEW,
    Dataset,
    FieldType,
    KeyedExporter,
    RecordKey,
)
from portability.api.errors import SourceError
from portability.api.times import rfc3339
from portability.database.engine import reading
from portability.feeds import archives, parts
from portability.feeds.archives import FeedArchive
from portability.feeds.cursor import FeedCursor, maps_sha256
from portability.feeds.parts import DeliveredEntry, DeliveredName
from portability.feeds.steps import FeedProgress
from portability.requests.planned_maps import PlannedMaps
from portability.requests.states import DatasetState
from portability.trust import keys
from worker.claim.claims import Claim
from worker.context import WorkerContext
from worker.plan.plan import PlanLine
from worker.read.changed import given_keys
from worker.read.identities import ask
from worker.write.changes import VolumeChanges
from worker.write.open_volume import OpenVolume

log = structlog.get_logger()
_COUNT = "SELECT exporter, dataset, reason, count(*) FROM tombstone GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
AGAIN_MAX = 1_000
"""Records that lacked a value; if there are more, the next archive compares everything."""
BLOCK_LINES = 1_000
NOT_MISSING = frozenset({COVERAGE_UNDECIDED, COVERAGE_UNKNOWN, NEEDS_REVIEW})
"""Reasons of gaps with which the rows that were asked for are read. A later decision changes the scope of the feed."""
PLAIN_TYPES: Mapping[FieldType, type] = {FieldType.STRING: str, FieldType.INTEGER: int}
"""Types of fields whose values are of one type."""
_INSERT = "INSERT INTO tombstone VALUES (?, ?, ?, ?)"
_SCHEMA = "CREATE TABLE tombstone (exporter TEXT, dataset TEXT, reason TEXT, line BLOB)"


class TombstoneReason(StrEnum):
    """Why a record is gone."""

    DELETED = "deleted"
    """The source no longer stores it."""
    OUT_OF_SCOPE = "out_of_scope"
    """It is stored, and a relation, an instruction, a rule or a map no longer gives it to this subject."""
    ABSENT = "absent"
    """It is no longer among the subject's records; the source cannot say whether it still stores it."""


def write_changes(
    context: WorkerContext,
    claim: Claim,
    volume: OpenVolume,
    gaps: Sequence[Mapping[str, Any]],
    maps: PlannedMaps | None,
) -> None:
    """Write `changes.json` and the tombstones into the closing volume. Raises VolumeFault, NoSigningKey."""
    changes = volume.changes
    if changes is None:
        return
    with closing(sqlite3.connect("")) as scratch:
        scratch.execute(_SCHEMA)
        _find(context, claim, volume, changes, gaps, scratch)
        changes.progress = _progress(volume, changes, gaps)
        counted: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for exporter, dataset, reason, count in scratch.execute(_COUNT):
            counted[exporter, dataset][reason] = count
        for exporter, dataset in counted:
            volume.output.tag(bag.tombstones(exporter, dataset), _blocks(scratch, exporter, dataset))
    listed: list[JSON] = [
        {
            "exporter": exporter,
            "dataset": dataset,
            "path": bag.tombstones(exporter, dataset),
            "records": sum(by_reason.values()),
        }
        for (exporter, dataset), by_reason in counted.items()
    ]
    document = _document(context, claim, changes, maps)
    changes.archive = FeedArchive(str(document["mode"]), str(document["cursor"]), counted)
    volume.output.tag(bag.CHANGES, [orjson.dumps({**document, "tombstones": listed}, option=orjson.OPT_INDENT_2)])


def _document(
    context: WorkerContext, claim: Claim, changes: VolumeChanges, maps: PlannedMaps | None
) -> dict[str, JSON]:
    """Return changes.json without its tombstones (docs/archive-format.md)."""
    feed, export = changes.feed, claim.export
    horizon = {} if changes.progress is None else changes.progress.horizon
    cursor = FeedCursor(feed["id"], feed["number"] + 1, claim.id, maps_sha256(maps), horizon)
    with reading(context.engine) as connection:
        key = keys.dated(connection, context.settings.keys)
        after = archives.place_of(connection, feed)
    step = changes.step
    modes = {} if step is None else dict(step.modes)
    stated = sorted(set(modes.values())) or ["hashes"]
    return {
        "format": FORMAT,
        "feed": cursor.feed,
        "number": cursor.number,
        "after": after,
        "mode": "+".join(stated) if after else "full",
        "modes": modes,
        "began_at": rfc3339(export["began_at"]),
        "maps_sha256": cursor.maps,
        "horizon": dict(horizon),
        "cursor": cursor.sign(context.settings.iss, export["subject_ref"], key),
    }


def _find(
    context: WorkerContext,
    claim: Claim,
    volume: OpenVolume,
    changes: VolumeChanges,
    gaps: Sequence[Mapping[str, Any]],
    scratch: sqlite3.Connection,
) -> None:
    """Find what was delivered before and was not seen now: as tombstones, or carried to the next archive."""
    feed, check, gone = changes.feed, volume.job.check, changes.base
    unread = _unread(gaps)
    seen = (part.sealed for part in changes.parts())
    gone.remove(chain(parts.of_export(context.engine, feed["id"], claim.id), seen))
    for name, entries in changes.touched():
        taken_keys = gone.take([entry.digest for entry in entries])
        found = [entry for entry in entries if entry.digest in taken_keys]
        if found and (name.exporter, name.dataset) not in unread:
            scratch.executemany(_INSERT, _lines(volume, name, found))
            changes.carry(name, found)
    if gone.is_empty:
        return
    for part in parts.until(context.engine, feed["id"], feed["number"], but_by_changes=changes.is_by_changes):
        check()
        # A record that two parts name is taken once.
        taken = set(gone.take([digest for digest, _hash in changes.key.index(part)]))
        for name, entries in changes.key.open(part) if taken else ():
            found = list({entry.digest: entry for entry in entries if entry.digest in taken}.values())
            taken -= {entry.digest for entry in found}
            if (name.exporter, name.dataset) in unread or name.exporter not in volume.job.exporters:
                changes.carry(name, found)
            elif name.key and found:
                scratch.executemany(_INSERT, _lines(volume, name, found))


def _progress(volume: OpenVolume, changes: VolumeChanges, gaps: Sequence[Mapping[str, Any]]) -> FeedProgress | None:
    """Return how far the feed is after this archive; None if a dataset whose changes are stated was not read whole.

    The next archive reads the records again that lacked a value.
    """
    if changes.step is None:
        return None
    fields = {(line.exporter, line.dataset.name): line.dataset.key for line in volume.job.plan.lines}
    again: dict[tuple[str, str], set[RecordKey]] = defaultdict(set)
    for gap in gaps:
        name = gap["exporter"], gap["dataset"]
        if name not in changes.step.covered or gap["reason"] in NOT_MISSING:
            continue
        if gap["record"] is None:
            return None
        again[name].add(tuple(gap["record"][field] for field in fields[name]))
    if sum(map(len, again.values())) > AGAIN_MAX:
        return None
    return changes.step.progress.with_again(changes.key, again)


def _unread(gaps: Sequence[Mapping[str, Any]]) -> Collection[tuple[str, str]]:
    """Return the datasets of which records may be missing: a gap names no record, no file and no column."""
    return {
        (gap["exporter"], gap["dataset"])
        for gap in gaps
        if gap["record"] is None and gap["reason"] != COVERAGE_UNDECIDED and not (gap["resume"] or {}).get("missed")
    }


def _lines(
    volume: OpenVolume, name: DeliveredName, gone: Sequence[DeliveredEntry]
) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield the tombstones of records with their dataset and reason, as rows."""
    at = rfc3339(volume.job.present())
    for entry, reason in zip(gone, _reasons(volume, name, gone), strict=True):
        key = dict(zip(name.key, entry.key, strict=True))
        line = orjson.dumps({"key": key, "at": at, "reason": reason}) + b"\n"
        yield name.exporter, name.dataset, str(reason), line


def _reasons(volume: OpenVolume, name: DeliveredName, gone: Sequence[DeliveredEntry]) -> Sequence[TombstoneReason]:
    datasets = {line.dataset.name: line for line in volume.job.plan.lines if line.exporter == name.exporter}
    line = datasets.get(name.dataset)
    if line is None or line.state is not DatasetState.PENDING or line.dataset.key != name.key:
        return [TombstoneReason.OUT_OF_SCOPE] * len(gone)
    # Another type of the key is another map: the source never had such keys, so it is not asked for them.
    asked = [entry.key for entry in gone if _has_types(line.dataset, entry.key)]
    by_key = _reasons_by_key(volume, line, asked) if asked else {}
    return [by_key.get(entry.key, TombstoneReason.OUT_OF_SCOPE) for entry in gone]


def _reasons_by_key(
    volume: OpenVolume, line: PlanLine, asked: Sequence[RecordKey]
) -> Mapping[RecordKey, TombstoneReason]:
    """Ask the source which of the keys it stores; without an answer the records are absent.

    An unavailable source is retried.
    """
    absent = dict.fromkeys(asked, TombstoneReason.ABSENT)
    exporter = volume.job.exporters[line.exporter]
    if not isinstance(exporter, KeyedExporter):
        return absent
    try:
        stored = ask(
            volume.job.patience, line.name, lambda: given_keys(exporter.existing(line.dataset, asked), line.dataset)
        )
    except SourceError as fault:
        log.warning("feed.unexplained", dataset=line.name, records=len(asked), code=fault.code)
        return absent
    if isinstance(stored, Collection):
        deleted = dict.fromkeys(asked, TombstoneReason.DELETED)
        return deleted | dict.fromkeys(stored, TombstoneReason.OUT_OF_SCOPE)
    return absent


def _has_types(dataset: Dataset, key: RecordKey) -> bool:
    """Return whether the values of a key have the types of its fields."""
    types = {field.name: PLAIN_TYPES.get(field.type, object) for field in dataset.fields}
    return all(isinstance(value, types[name]) for name, value in zip(dataset.key, key, strict=True))


def _blocks(scratch: sqlite3.Connection, exporter: str, dataset: str) -> Iterator[bytes]:
    query = "SELECT line FROM tombstone WHERE exporter = ? AND dataset = ? ORDER BY rowid"
    found = scratch.execute(query, (exporter, dataset))
    while lines := found.fetchmany(BLOCK_LINES):
        yield b"".join(line for (line,) in lines)
