"""The entry of the command line: an interrupt ends it with 130 and without a word, also before and after a command."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import repository

AT_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""
AT_EXIT = """
import atexit, os, signal

atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
"""
AS_AT_A_TERMINAL = """
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
"""
"""A shell starts what runs in its background with interrupts ignored, perhaps these tests, too."""
RUN = """
from cli import entry
entry.run()
"""


def version_of(prelude: str, before: str = AS_AT_A_TERMINAL) -> tuple[int, str]:
    command = [sys.executable, "-c", before + prelude + RUN, "--version"]
    ended = subprocess.run(command, cwd=repository.ROOT, capture_output=True, timeout=60, check=False)
    return ended.returncode, ended.stderr.decode()


@pytest.mark.parametrize(
    "prelude",
    [
        pytest.param(AT_IMPORT.format(name="cli.main"), id="first import"),
        pytest.param(AT_IMPORT.format(name="click"), id="import of a library"),
        pytest.param(AT_IMPORT.format(name="importlib.metadata"), id="within a command"),
        pytest.param(AT_EXIT, id="at exit"),
    ],
)
def test_an_interrupt_at_any_moment_ends_with_130_and_without_a_traceback(prelude: str) -> None:
    code, errors = version_of(prelude)

    assert (code, errors.strip()) == (130, "")


def test_an_interrupt_that_the_caller_ignores_stays_ignored() -> None:
    ignored = f"import signal\nsignal.signal({signal.SIGINT:d}, signal.SIG_IGN)\n"

    assert version_of(AT_EXIT, ignored) == (0, "")
