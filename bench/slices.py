"""`slices`: a tenant's `switch` export with four workers, compared with one, on the same data and servers."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import servers
from archives import members
from rq import Worker
from workers import Deployment, deployment, until

from bench.figures import Figure, interleaved
from demo.plan import SeedPlan
from demo.seed import seed
from portability.database.engine import open_engine, reading
from portability.requests import exports
from portability.storage import open_storage

PLAN = SeedPlan(tenants=1, users=5, contacts=1_500, calls=9_000, chats=4_500, events=15_000, recordings=120)
LONG_PLAN = SeedPlan(tenants=1, users=5, contacts=20_000, calls=60_000, chats=30_000, events=50_000, recordings=1_000)
MANY = 4
OF_THE_EXPORT = ("data/trail/", "data/portability/")
"""Datasets with records of the export itself: its request, its messages, and when it read."""


def measure(*, long: bool) -> Figure:
    """Measure seconds from request to ready; both archives contain the same lines and files."""
    with tempfile.TemporaryDirectory() as name, servers.postgres() as pg, servers.seaweedfs() as s3:
        folder = Path(name)
        source = pg.url(pg.create_database())
        recordings = f"file://{folder}/recordings"
        tenant = seed(source, open_storage(recordings), LONG_PLAN if long else PLAN).examples.tenant
        shared = {"SOURCE_URL": source, "RECORDINGS_URL": recordings, "VOLUME_BYTES": str(16 << 20)}
        shared |= {"SLICE_BYTES": str(2 << 20), "SLICES_MAX": "4", "TENANT_VOLUMES_MAX": str(MANY)}
        shared |= {"ALLOW_FETCH": "1", "APPROVALS": "none"}
        found: list[Counter[str]] = []

        def run(workers: int) -> float:
            where = folder / f"{workers}-{len(found)}"
            database = pg.create_database()
            settings = shared | {"DATABASE_URL": pg.url(database), "STORAGE_URL": s3.url(where.name)}
            with servers.valkey() as queue, _stack(where, workers, settings | {"REDIS_URL": queue.url}) as running:
                seconds, identifier = _ready(running, tenant)
                found.append(content(running, identifier, where / "out"))
            return seconds

        os.environ.update(s3.environment)
        figure = interleaved("slices", lambda: run(MANY), lambda: run(1), target=0.75, n=3 if long else 1)
    if any(one != found[0] for one in found):
        raise RuntimeError("archives of four workers and of one differ")
    return figure


@contextmanager
def _stack(folder: Path, workers: int, settings: dict[str, str]) -> Iterator[Deployment]:
    """Start workers and wait for them, because their imports are not measured."""
    with (
        deployment(folder, workers=workers, **settings) as running,
        redis.Redis.from_url(settings["REDIS_URL"]) as client,
    ):
        until(lambda: len(Worker.all(connection=client)) == workers, "the workers have started")
        yield running


def _ready(running: Deployment, tenant: str) -> tuple[float, str]:
    engine = open_engine(running.settings["DATABASE_URL"])
    identifier: str = running.json("request", "--profile", "switch", "--subject", f"tenant:{tenant}")["id"]
    began = time.monotonic()

    def view() -> dict[str, object]:
        with reading(engine) as connection:
            return dict(exports.view(connection, identifier))

    until(lambda: view()["ended_at"] is not None, "the export ends", seconds=1800)
    seconds = time.monotonic() - began
    engine.dispose()
    if (view()["state"], view()["complete"]) != ("ready", True):
        raise RuntimeError(f"export {identifier} is {view()['state']}")
    return seconds, identifier


def content(running: Deployment, identifier: str, folder: Path) -> Counter[str]:
    """Return lines of each dataset and files by hash, which do not depend on how the work was cut."""
    archives = [Path(path) for path in running.json("fetch", identifier, "--to", str(folder))["archives"]]
    found: Counter[str] = Counter()
    for name, body in members(archives):
        if not name.startswith("data/") or name.startswith(OF_THE_EXPORT) or name.endswith(".csv"):
            continue  # CSV has the same records
        dataset = re.sub(r"(-s\d\d)?(-\d{4})?\.jsonl$", ".jsonl", name)
        pieces = body.split(b"\n") if name.endswith(".jsonl") else [body]
        found.update(f"{dataset} {hashlib.sha256(piece).hexdigest()}" for piece in pieces if piece)
    return found
