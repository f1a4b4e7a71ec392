"""Programs and libraries that judge: found, run, and named where they are missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "interop"
"""Where the sources of judges in other languages lie."""
NODE_MODULES = SOURCES / "node" / "node_modules"


def program(name: str, *, package: str) -> str:
    """The path of a program; `package` is Debian's name for where it comes from."""
    return shutil.which(name) or missing(name, f"apt-get install {package}")


def node(script: str) -> Sequence[str | Path]:
    """The beginning of a command that runs one of the scripts for Node."""
    found = program("node", package="nodejs npm")
    if not NODE_MODULES.exists():
        missing("yauzl and jose", "npm ci --prefix tests/interop/node")
    return [found, SOURCES / "node" / script]


def vcon_library() -> Sequence[str | Path]:
    """The beginning of a command that judges vCons by the working group's library, in an environment of its own.

    It needs Python 3.12, which not every machine has.
    """
    found = ROOT / ".cache" / "judges" / "vcon" / "bin" / "python"
    if not found.exists():
        if not any(map(shutil.which, ("python3.12", "python3.13", "python3.14"))):
            pytest.skip("the library vcon needs Python 3.12, so it cannot judge")
        missing("the library vcon", "make judges")
    return [found, "-I", SOURCES / "vcon_library.py"]


def module(name: str) -> Sequence[str | Path]:
    """The beginning of a command that runs a Python library's own command line."""
    library(name)
    return [sys.executable, "-m", name]


def library(name: str) -> None:
    """Go on where a Python library is there."""
    if importlib.util.find_spec(name) is None:
        missing(name, "pip install --require-hashes -r requirements/dev.txt")


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """What a program prints; the test fails where the program does."""
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=stdin or subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        capture_output=True,
        check=False,
    )
    output, faults = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))[:500]}: {done.returncode}\n{output[-2000:]}\n{faults[-2000:]}")
    return output


def missing(what: str, how_to_get_it: str) -> NoReturn:
    """Where judges can be installed, a missing one is a fault; elsewhere it is a visible skip."""
    message = f"{what} is not installed, so it cannot judge; to get it: {how_to_get_it}"
    is_debian_root = os.geteuid() == 0 and shutil.which("apt-get") is not None
    if os.environ.get("CI") == "true" or is_debian_root:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
