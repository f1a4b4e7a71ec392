"""`simulated`: requests of tenants and of people wait for two real workers, and for two simulated workers.

The simulation gets the cost of a job from the real run, whose workers were busy all the time. What is compared is who
waits how long: the figure is how far the mean waits of the groups differ, and each group's waits are printed.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import orjson
import servers
from sqlalchemy import Engine, RowMapping, create_engine, func, select
from workers import Deployment, deployment, until

from bench.figures import Figure
from bench.simulation.workload import SimulatedRequest
from bench.simulation.year import DeploymentPlan, VolumeCost, simulate
from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.database import models
from portability.database.engine import open_engine, reading, writing
from portability.law.profiles import Profile
from portability.requests import acceptance
from portability.requests.policy import Actor
from portability.settings import load_settings

WORKERS = 2
GROUPS = (120, 20, 10)
"""How many customers of each of three tenants ask; the largest asks first."""
PEOPLE = 20
PLAN = SeedPlan(tenants=3, users=20, contacts=150, calls=10, chats=10, events=10)
EXPORT = models.export


def measure(*, long: bool) -> Figure:
    """Measure by how much the mean waits differ: the sum of the differences, compared with the sum of the waits."""
    size = 4 if long else 1
    with tempfile.TemporaryDirectory() as name, servers.postgres() as pg, servers.valkey() as queue:
        urls = {"DATABASE_URL": pg.url(pg.create_database()), "SOURCE_URL": pg.url(pg.create_database())}
        real = _real(Path(name), size, REDIS_URL=queue.url, **urls)
    waits = _mean_waits(real)
    again = _simulated_waits(real)
    for group, seconds in waits.items():
        line = {"group": group or "people", "real_s": round(seconds, 2), "simulated_s": round(again[group], 2)}
        print(orjson.dumps(line).decode(), flush=True)
    differing = sum(abs(again[group] - waits[group]) for group in waits)
    return Figure("simulated", differing, sum(waits.values()), 0.25, "s", len(real))


def _real(folder: Path, size: int, **settings: str) -> Sequence[RowMapping]:
    """Queue the requests, start two workers, and return the exports when all are ready, in the order of requests."""
    seed(settings["SOURCE_URL"], None, PLAN)
    with deployment(folder / "state", workers=0, STORAGE_URL=f"file://{folder}/archives", **settings) as running:
        engine = open_engine(settings["DATABASE_URL"])
        _ask(engine, _subjects(settings["SOURCE_URL"]), size)
        for _ in range(WORKERS):
            running.start("worker")
        _wait(running, engine)
        with reading(engine) as connection:
            rows = connection.execute(select(EXPORT).order_by(EXPORT.c.created_at)).mappings().all()
        engine.dispose()
    return rows


def _subjects(source_url: str) -> Mapping[str | None, Sequence[str]]:
    """Return customers by tenant, the tenant with most of them first, and people (None)."""
    contacts, users = schema.contacts.c, schema.users.c
    found: defaultdict[str | None, list[str]] = defaultdict(list)
    engine = create_engine(source_url)
    with engine.connect() as connection:
        for tenant, contact in connection.execute(select(contacts.tenant_id, contacts.id).order_by(contacts.id)):
            found[tenant].append(f"contact:{contact}")
        people = [f"user:{user}" for user in connection.scalars(select(users.id).order_by(users.id))]
    engine.dispose()
    by_size = sorted(found.items(), key=lambda item: -len(item[1]))
    return dict(by_size) | {None: people}


def _ask(engine: Engine, subjects: Mapping[str | None, Sequence[str]], size: int) -> None:
    counts = [each * size for each in (*GROUPS, PEOPLE)]
    with writing(engine) as connection:
        for (tenant, names), count in zip(subjects.items(), counts, strict=True):
            for number in range(count):
                name, day = names[number % len(names)], 1 + number // len(names)
                since = f"2026-01-{day:02}"  # the same request twice would be one export
                wanted = acceptance.check(profile="access", subject=name, tenant=tenant, since=since)
                acceptance.accept(connection, wanted, actor=Actor("operator", "bench"))


def _wait(running: Deployment, engine: Engine) -> None:
    def is_over() -> bool:
        with reading(engine) as connection:
            return not connection.scalar(select(func.count()).where(EXPORT.c.ended_at.is_(None)))

    until(is_over, f"all exports end ({running.log})", seconds=1800)


def _mean_waits(rows: Sequence[RowMapping]) -> dict[str | None, float]:
    """Return the mean seconds by group from the first claim of all to the first claim of each."""
    began_at = min(row["began_at"] for row in rows)
    found: defaultdict[str | None, list[float]] = defaultdict(list)
    for row in rows:
        found[row["tenant"]].append((row["began_at"] - began_at).total_seconds())
    return {group: fmean(waits) for group, waits in found.items()}


def _simulated_waits(rows: Sequence[RowMapping]) -> dict[str | None, float]:
    """Return the same of a simulation with the real run's requests and its mean cost of a job."""
    began_at, ended_at = min(row["began_at"] for row in rows), max(row["ended_at"] for row in rows)
    cost = VolumeCost(job_seconds=WORKERS * (ended_at - began_at).total_seconds() / len(rows))
    people: dict[str, int] = {}
    asked = [
        SimulatedRequest(0.0, row["tenant"], people.setdefault(row["subject_ref"], len(people)), Profile.ACCESS, 0)
        for row in rows
    ]
    outcome = simulate(DeploymentPlan(load_settings(), WORKERS, cost=cost, deaths=0.0), asked)
    found: defaultdict[str | None, list[float]] = defaultdict(list)
    for export in outcome.exports:
        found[export.request.tenant].append((export.claimed_at or 0.0) - export.accepted_at)
    return {group: fmean(waits) for group, waits in found.items()}
