"""Remembers which archives of a feed are imported into a target, so that each is imported once and in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select

from receiver.faults import FeedForked, FeedGap
from receiver.ledger.identifiers import MapScope
from receiver.ledger.runs import UNDOING
from receiver.ledger.tables import FEED, RUN


@dataclass(frozen=True, slots=True)
class FeedPoint:
    """One archive of a feed. Its number names several, once the sender's database was restored to an earlier state."""

    number: int
    export: str
    cursor_sha256: str | None
    """Of its cursor, which no other archive has; None: an earlier release has not stated or stored it."""

    def is_same(self, other: FeedPoint) -> bool:
        """Return whether both are one archive."""
        if self.cursor_sha256 and other.cursor_sha256:
            return self == other
        return (self.number, self.export) == (other.number, other.export)


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """The place of an archive in its feed."""

    feed: str
    here: FeedPoint
    after: FeedPoint | None
    """The archive that it follows; None: it is the first."""


@dataclass(frozen=True, slots=True)
class _Imported:
    """An archive of a feed that is imported, or was begun to be."""

    point: FeedPoint
    run: str
    is_partial: bool
    """Its import has not ended, or is being undone."""
    is_undoing: bool


def is_imported(connection: Connection, scope: MapScope, place: FeedPlace, newer: Collection[str]) -> bool:
    """Return whether an archive of a feed is imported already, and check that it is the next otherwise.

    `newer` are the imports of archives of a later time. Raises: FeedGap if archives are missing before it; FeedForked
    if another archive is here in its place.
    """
    before: FeedPoint | None = None
    known = _known(connection, scope, place.feed)
    if known and known[-1].is_undoing:
        raise FeedGap(
            f"archive {known[-1].point.number} of feed {place.feed} is undone here in part",
            hint=f"`portability imports undo` {known[-1].run} first",
        )
    for number, one in enumerate(known):
        if one.point.is_same(place.here):
            return not one.is_partial
        if _follows(place, before):
            raise _forked(place, known[number:], newer)
        before = one.point
    if known and known[-1].is_partial:
        raise FeedGap(
            f"archive {known[-1].point.number} of feed {place.feed} is imported here in part",
            hint=f"import it again first, or undo import {known[-1].run}",
        )
    if not _follows(place, before):
        raise _gap(place, before)
    return False


def _follows(place: FeedPlace, before: FeedPoint | None) -> bool:
    """Return whether an archive follows the one before; None: it has to be the first."""
    if before and place.after:
        return before.is_same(place.after)
    return before is place.after


def _forked(place: FeedPlace, others: Sequence[_Imported], newer: Collection[str]) -> FeedForked:
    other, number = others[0], place.here.number
    undo = [one.run for one in reversed(others)]
    part = " in part" if other.is_partial else ""
    undoing = f"`portability imports undo` {', '.join(undo)}, in this order"
    hint = f"the sender has lost that archive: {undoing}, then import this archive"
    if other.run in newer:
        undo = []
        hint = "the sender has lost this archive, and the archive here is of a later time: leave it"
    return FeedForked(
        f"another archive {number} of feed {place.feed} is imported here{part}: import {other.run}",
        hint=hint,
        undo=undo,
    )


def _gap(place: FeedPlace, last: FeedPoint | None) -> FeedGap:
    feed, number, here = place.feed, place.here.number, last.number if last else 0
    if number > here + 1:
        hint = (
            "import the archives in between first, in their order; if one is lost, begin a new feed: "
            "`portability feeds begin`, or `portability pull fetch --changes --restart`"
        )
        message = f"archive {number} of feed {feed} does not follow: the last archive imported here is {here}"
        return FeedGap(message, hint=hint)
    return FeedGap(
        f"archive {number} of feed {feed} follows another archive {number - 1} than the one imported here",
        hint=f"import the archive {number - 1} that it follows first; if the sender has lost it, begin a new feed",
    )


def note(connection: Connection, scope: MapScope, place: FeedPlace) -> None:
    """Note that the import of an archive has begun or continues: it is here in part until its run has ended."""
    values = {
        "feed": place.feed,
        **asdict(place.here),
        "target": scope.target,
        "issuer": scope.issuer,
        "run": scope.run,
    }
    connection.execute(delete(FEED).where(*_mine(scope, place.feed), FEED.c.number == place.here.number))
    connection.execute(insert(FEED).values(**values))


def check_last(connection: Connection, run: str) -> None:
    """Check that no later archive of its feed is imported than that of a run. Raises FeedGap."""
    for row in connection.execute(select(FEED).where(FEED.c.run == run)):
        same = (FEED.c.target == row.target, FEED.c.issuer == row.issuer, FEED.c.feed == row.feed)
        later = select(FEED.c.run).where(*same, FEED.c.number > row.number).order_by(FEED.c.number.desc())
        if (other := connection.scalar(later.limit(1))) is not None:
            raise FeedGap(
                f"import {run} is archive {row.number} of feed {row.feed}, and later archives follow it here",
                hint=f"undo the later imports first, beginning with {other}",
            )


def forget(connection: Connection, run: str) -> None:
    """Forget that the archive of a run is imported."""
    connection.execute(delete(FEED).where(FEED.c.run == run))


def _known(connection: Connection, scope: MapScope, feed: str) -> Sequence[_Imported]:
    """Return the archives of a feed that are here, in their order."""
    # Not by its state: the journal of an import that did not end may have expired.
    is_partial = and_(RUN.c.id.is_not(None), RUN.c.ended_at.is_(None))
    columns = (FEED.c.number, FEED.c.export, FEED.c.cursor_sha256, FEED.c.run, is_partial, RUN.c.state == UNDOING)
    query = select(*columns).outerjoin(RUN, RUN.c.id == FEED.c.run).where(*_mine(scope, feed)).order_by(FEED.c.number)
    return [_Imported(FeedPoint(*row[:3]), row[3], bool(row[4]), bool(row[5])) for row in connection.execute(query)]


def _mine(scope: MapScope, feed: str) -> Any:  # noqa: ANN401  # conditions
    return FEED.c.target == scope.target, FEED.c.issuer == scope.issuer, FEED.c.feed == feed
