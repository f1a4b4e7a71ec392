"""Remembers which archives of a feed are imported into a target, so that each is imported once and in order."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from receiver.faults import FeedGap
from receiver.ledger.identifiers import MapScope
from receiver.ledger.tables import FEED


def is_imported(
    connection: Connection, scope: MapScope, feed: str, number: int, export: str, after_export: str | None
) -> bool:
    """Return whether an archive of a feed is imported already, and check that it is the next otherwise.

    Raises: FeedGap if archives are missing before it, or if it follows another archive than the last one here.
    """
    last = _last(connection, scope, feed)
    here = 0 if last is None else last["number"]
    if number <= here:
        same = (*_mine(scope, feed), FEED.c.number == number)
        if connection.scalar(select(FEED.c.export).where(*same)) != export:
            raise FeedGap(
                f"another archive {number} of feed {feed} is imported here",
                hint="the sender has lost its place: ask for a new feed",
            )
        return True
    if number != here + 1:
        raise FeedGap(f"archive {number} of feed {feed} does not follow: the last archive imported here is {here}")
    if last is not None and last["export"] != after_export:
        raise FeedGap(
            f"archive {number} of feed {feed} follows another archive {here} than the one imported here",
            hint="the sender has lost its place: ask for a new feed",
        )
    return False


def note(connection: Connection, scope: MapScope, feed: str, number: int, export: str) -> None:
    """Note that an archive of a feed is imported whole; another process may have done it for the same run."""
    same = (*_mine(scope, feed), FEED.c.number == number, FEED.c.run == scope.run)
    if connection.scalar(select(FEED.c.run).where(*same)) is not None:
        return
    fixed = {"target": scope.target, "issuer": scope.issuer, "feed": feed}
    connection.execute(insert(FEED).values(**fixed, number=number, export=export, run=scope.run))


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


def _last(connection: Connection, scope: MapScope, feed: str) -> RowMapping | None:
    query = select(FEED.c.number, FEED.c.export).where(*_mine(scope, feed)).order_by(FEED.c.number.desc()).limit(1)
    return connection.execute(query).mappings().one_or_none()


def _mine(scope: MapScope, feed: str) -> Any:  # noqa: ANN401  # conditions
    return FEED.c.target == scope.target, FEED.c.issuer == scope.issuer, FEED.c.feed == feed
