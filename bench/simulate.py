"""`simulate`: a year of a million requests under the product's rules, in processor time.

How long requests waited is printed by size and by who asked, for a deployment whose sources are databases, and for one
whose sources are slow. `--long` also searches the fewest workers with which slow sources reach a target, on a tenth of
the year with one day of news and four bursts of tenants.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from random import Random

import orjson

from bench.figures import Figure, machine
from bench.simulation import waits
from bench.simulation.workload import DAY_SECONDS, HOUR_SECONDS, SimulatedRequest, YearPlan, requests
from bench.simulation.year import DeploymentPlan, VolumeCost, YearOutcome, simulate
from portability.settings import load_settings

RESERVED = 1
OUTAGE = (100 * DAY_SECONDS + 9 * HOUR_SECONDS, 100 * DAY_SECONDS + 11 * HOUR_SECONDS)
"""Storage is away for two hours, on a Wednesday."""
TARGET_SECONDS = 600.0
"""How soon 99 % of the smallest archives shall be ready, in bursts too."""
WORKERS_MAX = 64
SAMPLE = YearPlan(days=37, people=60_000, contacts=60_000, switches=50, tenant_bursts=4, news=1)
SLOW = VolumeCost(job_seconds=15.0)
"""With sources over HTTP that allow some requests a second."""
DEPLOYMENTS = {"databases": (4, VolumeCost()), "slow sources": (8, SLOW)}
"""Workers beside the reserved worker, and the cost of a volume."""
YEAR_SECONDS = 60.0
SEED = 1


def measure(*, long: bool) -> Figure:
    """Measure seconds of processor time for the slower of two years; also print how long requests waited."""
    gc.disable()  # looking through millions of objects that live until the end would take most of the time
    try:
        began = time.process_time()
        asked = requests(YearPlan(), Random(SEED))  # noqa: S311  # made-up requests
        asking_seconds, seconds = time.process_time() - began, []
        for name, (workers, cost) in DEPLOYMENTS.items():
            began = time.process_time()
            outcome = _year(workers, cost, asked)
            seconds.append(asking_seconds + time.process_time() - began)
            _report(name, workers, outcome)
            del outcome
            gc.collect()
        if long:
            sample = requests(SAMPLE, Random(SEED))  # noqa: S311  # as above
            for share in (None, 2):
                least = _least_workers(sample, share)
                _print({"ready_p99_s": TARGET_SECONDS, "least_workers": least, **_limit(least or 0, share)})
    finally:
        gc.enable()
    return Figure("simulate", max(seconds), YEAR_SECONDS, 1.0, "s", len(seconds))


def _year(workers: int, cost: VolumeCost, asked: Sequence[SimulatedRequest], **limit: int) -> YearOutcome:
    return simulate(DeploymentPlan(load_settings(**limit), workers, RESERVED, cost, (OUTAGE,)), asked, seed=SEED)


def _limit(workers: int, share: int | None) -> dict[str, int]:
    """Return the setting that gives a tenant at most one of `share` parts of the workers; none for the default."""
    return {"tenant_volumes_max": max(1, workers // share)} if share else {}


def _report(name: str, workers: int, outcome: YearOutcome) -> None:
    for line in waits.report(outcome):
        _print({"deployment": name, **line})
    busy = outcome.busy_seconds / ((workers + RESERVED) * YearPlan().days * DAY_SECONDS)
    counts = {"workers": workers, "reserved": RESERVED, "volumes": outcome.volumes, "busy": round(busy, 4)}
    _print({"deployment": name, **counts, "machine": machine()})


def _least_workers(asked: Sequence[SimulatedRequest], share: int | None) -> int | None:
    """Return the fewest workers that reach the target, by halving; None: WORKERS_MAX are too few."""
    few, many = 0, WORKERS_MAX + 1
    while many - few > 1:
        middle = (few + many) // 2
        outcome = _year(middle, SLOW, asked, **_limit(middle, share))
        reached = waits.small_seconds(outcome)
        tried = {"workers": middle, **_limit(middle, share), "missed": len(outcome.missed)}
        _print({**tried, "ready_p99_s": round(reached, 1)})
        few, many = (few, middle) if reached <= TARGET_SECONDS else (middle, many)
    return many if many <= WORKERS_MAX else None


def _print(line: dict[str, object]) -> None:
    print(orjson.dumps(line).decode(), flush=True)
