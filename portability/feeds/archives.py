"""What each archive of a feed contained, in counts; and the report of a feed, such as that of a company that leaves.

The counts name no record. They stay after the end of a feed, until the feed itself is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.feeds.cursor import cursor_sha256

TABLE, VOLUME = models.feed_archive, models.volume
REASONS = ("deleted", "out_of_scope", "absent")
NUMBERS = ("records", *REASONS, "gaps")


@dataclass(frozen=True, slots=True)
class FeedArchive:
    """What the closing volume of an archive states about its place in a feed."""

    mode: str
    """As in changes.json."""
    cursor: str
    """Its signed cursor."""
    gone: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    """By exporter and dataset: the number of tombstones by their reason."""


def note(
    connection: Connection,
    feed: Mapping[Any, Any],
    export: Mapping[Any, Any],
    archive: FeedArchive,
    lines: Iterable[Mapping[str, Any]],
) -> None:
    """Note the archive after `feed["number"]`, with which the feed advances; `lines` are those of its ledger."""
    counted = {name: dict.fromkeys(NUMBERS, 0) | dict(gone) for name, gone in archive.gone.items()}
    for line in lines:
        own = counted.setdefault((line["exporter"], line["dataset"]), dict.fromkeys(NUMBERS, 0))
        own["records"] += line["records"]
        own["gaps"] += line["gaps"]
    of_export = select(func.coalesce(func.sum(VOLUME.c.bytes), 0)).where(VOLUME.c.export_id == export["id"])
    values = {
        "feed_id": feed["id"],
        "number": feed["number"] + 1,
        "export_id": export["id"],
        "mode": archive.mode,
        "datasets": {f"{exporter}/{dataset}": one for (exporter, dataset), one in sorted(counted.items())},
        "bytes": connection.scalar(of_export),
        "began_at": export["began_at"],
        "ready_at": now(),
        "cursor": archive.cursor,
    }
    connection.execute(insert(TABLE).values(**values))


def place_of(connection: Connection, feed: Mapping[Any, Any]) -> dict[str, JSON] | None:
    """Return the last archive of a feed, as the next archive names it; None before the first."""
    if not feed["number"]:
        return None
    named: dict[str, JSON] = {"number": feed["number"], "export": feed["export_id"]}
    same = (TABLE.c.feed_id == feed["id"], TABLE.c.number == feed["number"])
    cursor = connection.scalar(select(TABLE.c.cursor).where(*same))
    return named | ({"cursor_sha256": cursor_sha256(cursor)} if cursor else {})


def report(connection: Connection, feed: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return the report of a feed.

    By dataset: the records of the first archive, and of all later archives together the changed records and those that
    are gone, by reason, and the gaps of the last. Of each archive: its size, and the seconds from begin to ready.
    """
    query = select(TABLE).where(TABLE.c.feed_id == feed["id"]).order_by(TABLE.c.number)
    rows = connection.execute(query).mappings().all()
    return {
        "feed": feed["id"],
        "profile": feed["profile"],
        "subject": feed["subject_ref"],
        "ended_at": rfc3339(feed["ended_at"]),
        "archives": [_archive(row) for row in rows],
        "datasets": _datasets(rows),
        "cursor": rows[-1]["cursor"] if rows else None,
    }


def _archive(row: RowMapping) -> dict[str, JSON]:
    return {
        "number": row["number"],
        "export": row["export_id"],
        "mode": row["mode"],
        "began_at": rfc3339(row["began_at"]),
        "ready_at": rfc3339(row["ready_at"]),
        "seconds": round((row["ready_at"] - row["began_at"]).total_seconds(), 3),
        "bytes": row["bytes"],
        **{name: sum(one[name] for one in row["datasets"].values()) for name in NUMBERS},
    }


def _datasets(rows: Sequence[RowMapping]) -> list[JSON]:
    names = sorted({name for row in rows for name in row["datasets"]})
    empty = dict.fromkeys(NUMBERS, 0)
    found: list[JSON] = []
    for name in names:
        counts = [row["datasets"].get(name, empty) for row in rows]
        is_first_here = rows[0]["number"] == 1
        later = counts[1:] if is_first_here else counts
        exporter, _, dataset = name.partition("/")
        found.append(
            {
                "exporter": exporter,
                "dataset": dataset,
                "rehearsal": counts[0]["records"] if is_first_here else None,
                "changed": sum(one["records"] for one in later),
                **{reason: sum(one[reason] for one in later) for reason in REASONS},
                "gaps": counts[-1]["gaps"],
            }
        )
    return found
