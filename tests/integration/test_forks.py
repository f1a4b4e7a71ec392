"""Forks of tests/support/forks.py are processes like those of an interpreter of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import forks
import pytest
from workers import until

SAYS = """
import os, sys, tempfile
print(sys.argv[1:], os.environ["SAID"], os.getcwd(), tempfile.gettempdir())
print("to errors", file=sys.stderr)
sys.exit(7)
"""
FILES = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
"""All but the last, which lists them."""
WAITS = "print('begun', flush=True); import time; time.sleep(600)"


def test_it_has_its_own_arguments_environment_and_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams apart, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    said = forks.run_fork(["one", "two"], {"SAID": "yes", "TMPDIR": str(tmp_path)}, seconds=60, code=SAYS)
    assert said.stdout == f"['one', 'two'] yes {tmp_path} {tmp_path}\n"
    assert said.stderr == "to errors\n"
    assert said.returncode == 7


def test_it_has_no_file_of_the_server() -> None:
    """Neither a socket of the server nor of another fork."""
    assert forks.run_fork([], os.environ, seconds=60, code=FILES).stdout == "[0, 1, 2]\n"


def test_an_error_that_is_not_caught_is_reported() -> None:
    """With a traceback, and exit code 1."""
    failed = forks.run_fork([], os.environ, seconds=60, code="raise ValueError('of the test')")
    assert failed.returncode == 1
    assert failed.stderr.endswith("ValueError: of the test\n")


def test_a_signal_ends_it(tmp_path: Path) -> None:
    """It is waited for as long as wanted, and the exit code names the signal."""
    with (tmp_path / "output").open("wb") as output:
        process = forks.start([], os.environ, output, code=WAITS)
    until(lambda: (tmp_path / "output").read_text() == "begun\n", "it has begun")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM
    process.kill()  # changes nothing
    assert process.poll() == -signal.SIGTERM
