"""`delta_hashes`: the next archive of a feed, found by hashes, compared with a whole archive of the same rows.

A thousandth of the rows has changed, 100 of them are deleted. The archive must contain exactly these.
"""

from __future__ import annotations

import time
from itertools import count

import feeding
from feeding import Feed
from sqlalchemy import create_engine, text

from bench.figures import Figure, interleaved
from bench.rows import LONG_ROWS, ROWS, USER, StoredRows, export, place_of

DELETED = 100
CHANGE = "update bench_rows set title = :title where ctid in (select ctid from bench_rows order by id limit :rows)"
DELETE = "delete from bench_rows where ctid in (select ctid from bench_rows order by id desc limit :rows)"


def measure(*, long: bool) -> Figure:
    """Measure seconds from claim to ready."""
    rounds = count(1)
    with place_of(LONG_ROWS if long else ROWS) as place:
        feed = feeding.begin(place.made, f"user:{USER}")
        _next(feed)

        def delta() -> float:
            changed = place.rows // 1_000 - DELETED
            _change(place, f"round {next(rounds)}", changed)
            place.rows -= DELETED
            seconds, identifier = _next(feed)
            paths = place.made.fetch(identifier)
            found = len(feeding.delivered_records(paths, "bench/rows")), len(feeding.tombstones(paths))
            if found != (changed, DELETED):
                raise RuntimeError(f"the archive has {found[0]} records and {found[1]} tombstones")
            return seconds

        return interleaved("delta_hashes", delta, lambda: export(place, ["jsonl"]), target=2.0, n=3)


def _next(feed: Feed) -> tuple[float, str]:
    """Return the seconds of the next archive from claim to ready, and its export."""
    identifier = feed.request()
    began = time.perf_counter()
    feed.world.advance_all()
    seconds = time.perf_counter() - began
    if feed.world.view(identifier)["state"] != "ready":
        raise RuntimeError(f"export {identifier} is not ready")
    return seconds, identifier


def _change(place: StoredRows, title: str, rows: int) -> None:
    engine = create_engine(place.source)
    with engine.begin() as connection:
        connection.execute(text(CHANGE), {"title": title, "rows": rows})
        connection.execute(text(DELETE), {"rows": DELETED})
    engine.dispose()
