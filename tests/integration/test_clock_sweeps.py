from __future__ import annotations

from pathlib import Path

from factories import world
from sweeping import AgedStorage, Shelf
from workers import Deployment, until


def test_a_clock_sweeps(tmp_path: Path, redis_url: str) -> None:
    """The process of the Procfile removes what a failed export left, without being asked."""
    made = world(tmp_path, {})
    shelf = Shelf(made, AgedStorage(made.place.storage))
    shelf.stored(shelf.export("failed"))
    deployed = Deployment(tmp_path, {"REDIS_URL": redis_url, "SWEEP_SECONDS": "1"})
    deployed.start("clock")
    try:
        until(lambda: not shelf.rows() and not shelf.objects(), "the leftovers are swept")
        until(lambda: "sweep.done" in deployed.log.read_text(), "the clock says so")
    finally:
        deployed.stop()
