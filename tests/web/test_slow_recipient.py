"""A recipient whose line takes hours gets everything, while the clock of both sides runs forty times as fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from judges.programs import program
from repository import ROOT


@pytest.mark.system
@pytest.mark.requirement("R46")
@pytest.mark.timeout(900)
def test_a_line_of_hours_that_breaks_once_is_enough(redis_url: str, tmp_path: Path) -> None:
    """Downloads, leases, links and webhooks outlast more than two hours, and the sender gets the receipt."""
    script = ROOT / "tests" / "support" / "slow_exchange.py"
    fast = [program("faketime", package="faketime"), "-m", "-f", "+0 x40"]
    faked: list[str | Path] = [*fast, sys.executable, script, tmp_path, redis_url]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(faked, capture_output=True, text=True, timeout=800, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])

    hours = seen.pop("hours")
    assert 2 < hours < 6
    assert seen == {"cuts": 1, "equal": True, "receipted": True, "state": "delivered"}
