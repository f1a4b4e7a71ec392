"""The units of deploy/systemd do the whole job under a real systemd."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
import servers
import systemd_units
from repository import ROOT
from servers.process import free_ports
from workers import READY, Deployment, until

from demo.plan import SeedPlan
from demo.seed import seed

PURPOSES = ("archive", "link", "audit", "transfer")
WORKER = "portability-worker@1"
UNITS = ("portability-web", "portability-clock", WORKER)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_units_start_restart_and_do_the_job(tmp_path: Path, pg_server: servers.Postgres, redis_url: str) -> None:
    """Each reports that it is ready. A worker that is killed starts again; both exports are ready."""
    if os.geteuid() != 0 or systemd_units.groups() is None or not Path("/lib/systemd/systemd").exists():
        pytest.skip("needs root, systemd, and control groups of version 2 that it may divide")
    (port,), queue = free_ports(1), Path(redis_url.removeprefix("unix://").partition("?")[0]).parent
    platform = pg_server.url(pg_server.create_database())
    whose = f"user:{seed(platform, None, SeedPlan()).examples.user}"
    settings = {
        "DATABASE_URL": pg_server.url(pg_server.create_database()),
        "SOURCE_URL": platform,
        "REDIS_URL": redis_url,
        "STORAGE_URL": f"file://{tmp_path}/archives",
        "BASE_URL": f"http://127.0.0.1:{port}",
        "APPROVALS": "none",
    }
    deployed = Deployment(tmp_path / "state", settings)
    deployed.run("db", "upgrade")
    for purpose in PURPOSES:
        deployed.run("keys", "new", "--purpose", purpose)
    named = {name: value for name, value in deployed.environment.items() if name.startswith("PORTABILITY_")}
    named["PYTHONPATH"] = str(ROOT)
    with systemd_units.started(tmp_path, UNITS, named, [queue]) as units:
        until(lambda: all(map(units.pid, UNITS)), "all units are ready", seconds=180)
        assert httpx.get(f"{settings['BASE_URL']}/healthz/ready").status_code == 200
        deployed.run("request", "--profile", "access", "--subject", whose, "--wait", expect=READY)
        killed = units.pid(WORKER)
        units.kill(WORKER)
        until(lambda: units.pid(WORKER) not in {0, killed}, f"{WORKER} is ready again", seconds=180)
        deployed.run("request", "--profile", "portability", "--subject", whose, "--wait", expect=READY)
