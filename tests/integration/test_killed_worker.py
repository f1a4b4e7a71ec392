"""A killed worker costs one volume, and no person has to act."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from archives import records
from sqlalchemy import select
from workers import WAIT_SECONDS, awaited, children, deployment, has_killed, kill, until

from demo.plan import SeedPlan
from demo.seed import seed
from portability.database import models
from portability.database.engine import open_engine, reading
from portability.storage import open_storage
from portability.storage.local import LocalStorage

VOLUMES = SeedPlan(tenants=1, users=1, contacts=10, calls=30, recordings=30, recording_seconds=(60, 60))
SLOW = SeedPlan(tenants=1, users=1, contacts=10, calls=60, recordings=60, recording_seconds=(60, 60))


def test_an_export_survives_the_death_of_its_child_process_and_of_its_worker(tmp_path: Path, redis_url: str) -> None:
    """Kill -9 of the child, then of the worker: the clock wakes another worker, and exactly one archive is complete."""
    folder = tmp_path / "state"
    with deployment(folder, workers=2, REDIS_URL=redis_url, VOLUME_BYTES=str(2 << 20), ALLOW_FETCH="1") as running:
        source, recordings = f"sqlite:///{folder}/platform.sqlite", (folder / "recordings").as_uri()
        tenant = seed(source, open_storage(recordings), VOLUMES).examples.tenant
        view = running.json("request", "--profile", "switch", "--subject", f"tenant:{tenant}")
        engine = open_engine(f"sqlite:///{folder}/portability.sqlite")

        def owner() -> int:
            with reading(engine) as connection:
                named = connection.scalar(select(models.slice.c.owner))
            return int(named.rsplit(":", 1)[1]) if named else 0

        def killed() -> int:
            return pid if (pid := owner()) and has_killed(pid) else 0

        def at_work() -> list[int]:
            """Workers with a child: between two volumes of an export none has one."""
            return [process.pid for process in running.processes[:2] if children(process.pid)]

        horse = awaited(killed, "a horse is killed at work")
        until(lambda: owner() not in {0, horse}, "another horse works")
        kill(awaited(at_work, "a worker has a horse")[0])
        until(lambda: running.json("show", view["id"])["state"] == "ready", "the export ends")
        archives = [Path(p) for p in running.json("fetch", view["id"], "--to", str(tmp_path / "out"))["archives"]]
        jwks = tmp_path / "jwks.json"
        jwks.write_text(running.run("keys", "jwks").stdout)

        assert running.json("verify", *map(str, archives), "--jwks", str(jwks))["ok"] is True
        assert len(records(archives, "calls", "recordings")) == 30
        storage = LocalStorage(folder / "archives")
        until(lambda: not list(storage.uploads()), "no upload is left open")
        assert len([found for found in storage.list() if found.key.endswith(".zip")]) == len(archives)


def test_a_stopping_worker_gives_its_export_back_at_once(tmp_path: Path, redis_url: str) -> None:
    """SIGTERM: the worker leaves within DRAIN_SECONDS and the row is claimable long before its lease would end."""
    folder = tmp_path / "state"
    settings = {"LEASE_SECONDS": "600", "DRAIN_SECONDS": "0"}
    with deployment(folder, workers=1, REDIS_URL=redis_url, **settings) as running:
        source, recordings = f"sqlite:///{folder}/platform.sqlite", (folder / "recordings").as_uri()
        tenant = seed(source, open_storage(recordings), SLOW).examples.tenant
        view = running.json("request", "--profile", "switch", "--subject", f"tenant:{tenant}")
        engine = open_engine(f"sqlite:///{folder}/portability.sqlite")

        def row() -> tuple[str | None, int]:
            with reading(engine) as connection:
                owner, attempts = connection.execute(select(models.slice.c.owner, models.slice.c.attempts)).one()
            return owner, attempts

        until(lambda: row()[0] is not None, "a horse works")
        began = time.monotonic()
        running.processes[0].send_signal(signal.SIGTERM)
        running.processes[0].wait(WAIT_SECONDS)
        assert row() == (None, 0)
        assert time.monotonic() - began < WAIT_SECONDS
        running.start("worker")
        until(lambda: running.json("show", view["id"])["state"] == "ready", "another worker ends it")
