"""The drill of docs/high-availability.md, on servers that fail over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import servers
from workers import until

from chaos.run import chaos

SCRIPT = Path(__file__).parents[2] / "docs/examples/failover_drill.sh"


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("loses_commits", [True, False])
def test_the_drill_passes_on_a_real_failover(tmp_path: Path, loses_commits: bool) -> None:
    """The script that operators run ends with "passed", whether commits were lost or not."""
    flag = tmp_path / "fail-over"
    try:
        with chaos("cluster", tmp_path / "stack", first_seed=5) as made:  # without PgBouncer
            assert made.stack.databases is not None
            control = made.stack.databases.control
            subject = made.requests[made.tenant]
            own = {
                "SUBJECT": f"{subject.subject_kind}:{subject.subject_id}",
                "FAILOVER": f"touch {flag}; while [ -e {flag} ]; do sleep 0.1; done",
                "PORTABILITY": f"{sys.executable} -m cli.main",
                "PYTHON": sys.executable,
                "PORTABILITY_ALLOW_FETCH": "1",
                "PORTABILITY_APPROVALS": "none",
            }
            if loses_commits:
                control.part()
            shell = shutil.which("sh")
            assert shell
            with subprocess.Popen(
                [shell, SCRIPT],
                env={**os.environ, **made.stack.deployment.environment, **own},
                stdout=subprocess.PIPE,
                text=True,
            ) as drill:
                until(lambda: flag.exists() or drill.poll() is not None, "the drill fails over")
                control.fail_over()
                flag.unlink()
                output, _ = drill.communicate(timeout=500)
    except servers.ServerMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    assert drill.returncode == 0, output
    assert output.splitlines()[-1].endswith("passed")
    assert ("request.accepted" in output) == loses_commits
