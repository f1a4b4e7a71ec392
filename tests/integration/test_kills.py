"""Killed at any point, an export costs one more volume at the most."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import servers
from archives import records
from faults import FaultProxy
from sqlalchemy import Engine, select
from workers import Deployment, deployment, kill, until

from archive.signing import Jwks
from archive.verify import verify
from demo.plan import SeedPlan
from demo.seed import seed
from portability import exports, keys, models
from portability.db import open_engine, reading
from portability.storage import Storage, open_storage

VOLUMES = 10
MEGABYTE = 1_000_000
WASTE = 1.15
"""Bytes that may go to storage for each byte of the archive."""


class Meter:
    """Counts what goes to storage, and tells when it is so much."""

    def __init__(self) -> None:
        self.bytes = 0
        self.reached = threading.Event()
        self._mark = 0

    def begin(self, mark: int) -> None:
        self.bytes, self._mark = 0, mark
        self.reached.clear()

    def __call__(self, block: bytes) -> None:
        self.bytes += len(block)
        if self.bytes >= self._mark:
            self.reached.set()


@dataclass
class Bench:
    """One deployment for all points, with a meter before its storage."""

    running: Deployment
    engine: Engine
    storage: Storage
    meter: Meter
    tenant: str
    folder: Path

    def archive(self, kill_at: int = 0) -> tuple[list[Path], int]:
        """Make the export, killing its horse once so many bytes have gone to storage; returns also all bytes sent."""
        self.meter.begin(kill_at)
        asked = ("--profile", "switch", "--subject", f"tenant:{self.tenant}")
        identifier = self.running.json("request", *asked)["id"]
        if kill_at:
            assert self.meter.reached.wait(60), f"never {kill_at} bytes"
            with reading(self.engine) as connection:
                owner = connection.scalar(select(models.slice.c.owner).where(models.slice.c.export_id == identifier))
            if owner:
                kill(int(owner.rsplit(":", 1)[1]))
        until(lambda: self._view(identifier)["ended_at"] is not None, f"the export ends after a kill at {kill_at}")
        sent, view = self.meter.bytes, self._view(identifier)
        assert (view["state"], view["complete"]) == ("ready", True)
        return self._fetched(identifier), sent

    def _view(self, identifier: str) -> dict[str, object]:
        with reading(self.engine) as connection:
            return dict(exports.view(connection, identifier))

    def _fetched(self, identifier: str) -> list[Path]:
        with reading(self.engine) as connection:
            rows = exports.stored_volumes(connection, identifier)
        paths = []
        for row in rows:
            path = self.folder / f"{row['name']}.zip"
            path.write_bytes(b"".join(self.storage.read(row["object_key"])))
            self.storage.delete(row["object_key"])
            paths.append(path)
        return paths

    def jwks(self) -> Jwks:
        with reading(self.engine) as connection:
            return Jwks.parse(orjson.loads(orjson.dumps(keys.jwks(connection))))


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, pg_url: str, redis_url: str, s3: servers.S3Server
) -> Iterator[Bench]:
    size = request.getfixturevalue("megabytes") * MEGABYTE
    recordings = 100
    seconds = size / recordings / 16_000
    plan = SeedPlan(tenants=1, users=1, contacts=10, calls=100, recordings=100, recording_seconds=(seconds, seconds))
    files, source = f"file://{tmp_path}/recordings", f"sqlite:///{tmp_path}/platform.sqlite"
    tenant = seed(source, open_storage(files), plan).examples.tenant
    bucket = s3.url(f"archives-{secrets.token_hex(4)}")
    meter = Meter()
    with FaultProxy(s3.port, on_up=meter) as proxy:
        settings = {
            "DATABASE_URL": pg_url,
            "SOURCE_URL": source,
            "RECORDINGS_URL": files,
            "REDIS_URL": redis_url,
            "STORAGE_URL": bucket.replace(str(s3.port), str(proxy.port)),
            "VOLUME_BYTES": str(size // VOLUMES),
            "LEASE_SECONDS": "2",
        }
        with deployment(tmp_path / "state", workers=2, **settings) as running:
            yield Bench(running, open_engine(pg_url), open_storage(bucket), meter, tenant, tmp_path)


@pytest.mark.parametrize(
    ("points", "megabytes"), [(5, 20), pytest.param(100, 200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_a_kill_costs_one_volume_at_the_most(bench: Bench, points: int, megabytes: int) -> None:
    """A horse dies at evenly spaced points: each archive is whole, and at most 1.15 times its bytes were sent."""
    undisturbed, sent = bench.archive()
    size = sum(path.stat().st_size for path in undisturbed)
    assert len(undisturbed) >= VOLUMES
    assert size > megabytes * MEGABYTE
    assert sent <= size * 1.05
    wanted = records(undisturbed, "calls", "recordings")
    wasted = []
    for point in range(points):
        paths, sent = bench.archive((2 * point + 1) * size // (2 * points))
        verified = verify(paths, bench.jwks())
        assert verified.ok, verified
        assert records(paths, "calls", "recordings") == wanted
        wasted.append(sent / sum(path.stat().st_size for path in paths))
        for path in paths:
            path.unlink()
    print(f"{points} kills: {min(wasted):.3f} to {max(wasted):.3f} times the archive's bytes sent")  # noqa: T201  # the figure, with -s
    assert 1 < max(wasted) <= WASTE
    assert list(bench.storage.uploads()) == []
