"""Estimates of a copy's size and time, from earlier copies and its own progress: for displays, never a deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, RowMapping, cast, func, select

from portability.database import models
from portability.requests.states import OPEN, ExportState, VolumeState

EXPORT, VOLUME = models.export, models.volume
RECENT = 200
"""How many of the newest archives are looked at: the page costs the same however many there are."""
FEWEST = 3
"""With fewer archives of the same kind there is no estimate of the time."""
MOST_SHARE = 0.9
"""The time that is estimated is enough for this share of the archives."""
BEGUN_SHARE = 0.05
"""From this share of its records on, a copy's own pace is a better guide than earlier copies."""
LEAST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CopyEstimate:
    """What is expected of a copy; None: not known."""

    bytes: int | None = None
    """Of its files together, as they are downloaded."""
    seconds: float | None = None
    """From the begin of the work until the copy is ready."""


def typical(connection: Connection, profile: str, kind: str, subject_ref: str | None = None) -> CopyEstimate:
    """Estimate a copy that is not made yet: its size as the subject's last copy, its time as recent copies.

    Args:
        connection: any transaction.
        profile: of the request.
        kind: of the subject.
        subject_ref: the pseudonym of the subject; None: the size is estimated by the copies of other subjects alone.
    """
    newest = select(EXPORT).where(EXPORT.c.state == ExportState.READY).order_by(EXPORT.c.ended_at.desc())
    recent = _sized(connection, newest.limit(RECENT).subquery())
    alike = [row for row in recent if (row["profile"], row["subject_kind"]) == (profile, kind)]
    own = _last_size(connection, profile, subject_ref) if subject_ref else None
    sizes = sorted(row["size"] for row in alike)
    times = sorted((row["ended_at"] - row["began_at"]).total_seconds() for row in alike if row["revision"] == 1)
    if len(alike) < FEWEST:
        return CopyEstimate(own)
    return CopyEstimate(own or sizes[len(sizes) // 2], times[int(MOST_SHARE * (len(times) - 1))] if times else None)


def remaining_seconds(row: Mapping[Any, Any], share: float, expected: CopyEstimate, at: datetime) -> float | None:
    """Estimate how long an open copy still takes, in seconds; None: not known, or a person has to decide first.

    Args:
        row: the export.
        share: how much of it is read, from 0 to 1.
        expected: of such a copy, as `typical` returns it.
        at: the present time.
    """
    if row["state"] not in OPEN or row["state"] == ExportState.REVIEW or row["revision"] > 1:
        return None
    passed = (at - row["began_at"]).total_seconds() if row["began_at"] else 0.0
    if share >= BEGUN_SHARE and passed:
        return max(LEAST_SECONDS, passed * (1 - share) / share)
    return None if expected.seconds is None else max(LEAST_SECONDS, expected.seconds - passed)


def expected_at(remaining: float | None, at: datetime) -> datetime | None:
    """Return when a copy is expected that still takes this many seconds; None: not known."""
    return None if remaining is None else at + timedelta(seconds=remaining)


def _sized(connection: Connection, exports: Any) -> Sequence[RowMapping]:  # noqa: ANN401  # a subquery of exports
    """Return exports with the bytes of their stored volumes as `size`."""
    columns = [exports.c[name] for name in ("id", "profile", "subject_kind", "began_at", "ended_at", "revision")]
    stored = (VOLUME.c.export_id == exports.c.id, VOLUME.c.state == VolumeState.STORED)
    # Of each export by itself: for a join PostgreSQL may read all volumes.
    total = select(cast(func.sum(VOLUME.c.bytes), BigInteger)).where(*stored).scalar_subquery()
    query = select(*columns, total.label("size")).where(exports.c.began_at.is_not(None))
    return [row for row in connection.execute(query).mappings() if row["size"]]


def _last_size(connection: Connection, profile: str, subject_ref: str) -> int | None:
    """Return the bytes of the subject's newest archive for this profile; None without an archive."""
    own = (EXPORT.c.subject_ref == subject_ref, EXPORT.c.profile == profile, EXPORT.c.state == ExportState.READY)
    last = select(EXPORT).where(*own).order_by(EXPORT.c.ended_at.desc()).limit(1).subquery()
    found = _sized(connection, last)
    return int(found[0]["size"]) if found else None
