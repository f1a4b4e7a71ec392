"""`delta`, `delta_hashes`: the next archive of a feed, compared with a whole archive of the same rows.

A thousandth of the rows has changed, 100 of them are deleted. The archive must contain exactly these. `delta` finds
them by the entries of an outbox table, `delta_hashes` by comparing every row.
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
CHOSEN = "select id from bench_rows order by md5(id || cast(:title as text)) limit :rows"
CHANGE = f"update bench_rows set title = cast(:title as text) where id in ({CHOSEN}) returning id"  # noqa: S608  # constants
DELETE = f"delete from bench_rows where id in ({CHOSEN}) returning id"  # noqa: S608  # as above
ENTRY = (
    "insert into bench_outbox (id, table_name, row_key)"
    " select cast(:title as text) || id, 'bench_rows', id from changed"
)


def measure(*, long: bool) -> Figure:
    """Measure seconds from claim to ready, with an outbox table."""
    del long  # the figure is about a million rows
    return _measured("delta", LONG_ROWS, has_outbox=True, target=0.03)


def measure_hashes(*, long: bool) -> Figure:
    """Measure the same by hashes."""
    return _measured("delta_hashes", LONG_ROWS if long else ROWS, has_outbox=False, target=2.0)


def _measured(name: str, rows: int, *, has_outbox: bool, target: float) -> Figure:
    rounds = count(1)
    with place_of(rows, has_outbox=has_outbox) as place:
        feed = feeding.begin(place.made, f"user:{USER}")
        _next(feed)

        def delta() -> float:
            changed = place.rows // 1_000 - DELETED
            _change(place, f"round {next(rounds)}", changed)
            place.rows -= DELETED
            seconds, identifier = _next(feed)
            paths = place.made.fetch(identifier)
            found = len(feeding.delivered_records(paths, "bench/rows")), len(feeding.tombstones(paths))
            if found != (changed, DELETED) or feeding.changes(paths)["mode"] != ("outbox" if has_outbox else "hashes"):
                raise RuntimeError(f"the archive has {found[0]} records and {found[1]} tombstones")
            return seconds

        return interleaved(name, delta, lambda: export(place, ["jsonl"]), target=target, n=3)


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
    """Change rows all over the table, each with an entry in the outbox table."""
    engine = create_engine(place.source)
    with engine.begin() as connection:
        for statement, number in ((CHANGE, rows), (DELETE, DELETED)):
            values = {"title": f"{title} {number}", "rows": number}
            connection.execute(text(f"with changed as ({statement}) {ENTRY}"), values)
    engine.dispose()
