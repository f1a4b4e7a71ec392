"""`history`: what happens at each request, claim, page and round of the clock, with few and with many ended exports.

Each is measured in a transaction that is rolled back. The figure compares the rows that PostgreSQL reads for all of
them, which do not depend on what else the machine does. Rows and milliseconds of each are printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import orjson
import servers
from factories import world
from long_history import HOT, fill_history, rows_read
from servers.databases import Postgres

from bench.figures import Figure
from portability.queue import connect, open_queue

ENDED = (10_000, 100_000)
LONG_ENDED = (100_000, 10_000_000)
RUNS = 25


def measure(*, long: bool) -> Figure:
    """Measure rows read by each; also print them, and milliseconds, for both numbers of ended exports."""
    few, many = LONG_ENDED if long else ENDED
    with servers.postgres() as server:
        before, after = _costs(server, few), _costs(server, many)
    for name in after:
        costs = {few: before[name], many: after[name]}
        rows = {f"rows_{count}": cost.rows for count, cost in costs.items()}
        times = {f"ms_{count}": round(1000 * cost.seconds, 2) for count, cost in costs.items()}
        print(orjson.dumps({"name": name, **rows, **times}).decode(), flush=True)
    grown, begun = (sum(cost.rows for cost in costs.values()) for costs in (after, before))
    return Figure("history", grown, begun, 1.1, "rows", RUNS)


@dataclass(frozen=True, slots=True)
class _Cost:
    rows: int
    """Read by PostgreSQL from tables, by indexes or without."""
    seconds: float


def _costs(server: Postgres, count: int) -> dict[str, _Cost]:
    """Return the cost of each with this number of ended exports, and two that are queued."""
    with TemporaryDirectory() as name, servers.valkey() as valkey, connect(valkey.url) as redis:
        made = world(Path(name), {}, database_url=server.url(server.create_database()))
        fill_history(made.engine, count)
        for number in (1, 2):
            made.request(f"user:usr_{number}")
        found: dict[str, _Cost] = {}
        for act in HOT:
            once = partial(act, made, open_queue(redis))
            runs = []
            for _ in range(RUNS):
                redis.flushdb()
                seconds: list[float] = []
                rows = rows_read(made.engine, partial(_timed, once, seconds))
                runs.append(_Cost(rows, *seconds))
            # Medians: the plan of a statement may change when it has run a few times.
            usual = _Cost(int(median(cost.rows for cost in runs)), median(cost.seconds for cost in runs))
            found[act.__name__.removeprefix("_")] = usual
        made.engine.dispose()
        return found


def _timed(act: Callable[[], None], seconds: list[float]) -> None:
    began = time.perf_counter()
    act()
    seconds.append(time.perf_counter() - began)
