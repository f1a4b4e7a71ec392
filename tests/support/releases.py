"""Earlier code of this repository as processes: taken from its history, run by this interpreter.

The folder of a release comes first on the path. It has the entry points that its pyproject.toml declares, because those
of the installed package name modules of today.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path

from repository import ROOT

from portability.processes import die_with_parent

FIRST = "fc7a20cd0a8d1f76034f5b2b33e828d88cc5ddfd"
"""The oldest code in the history whose schema the migrations of today continue: revision 0008.

The history begins its line of migrations there, a day after version 0.1.0; the code of 0.1.0 itself is not in it.
"""
PACKAGES = ("portability", "worker", "exporters", "formats", "archive", "web", "receiver", "cli", "demo")


def release(commit: str = FIRST) -> Path:
    """Return the folder of a commit's code; it is taken from the history once."""
    folder = ROOT / ".cache" / "releases" / commit
    if not folder.exists():
        packed = subprocess.run(
            ["git", "archive", commit, "pyproject.toml", *PACKAGES], cwd=ROOT, check=True, capture_output=True
        ).stdout
        unfinished = folder.with_suffix(f".{os.getpid()}")
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(unfinished, filter="data")
        _declare_entry_points(unfinished)
        unfinished.rename(folder)
    return folder


def _declare_entry_points(folder: Path) -> None:
    """Give the folder the metadata of an installed package."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    sections = [f"[{group}]\n" + "".join(f"{name} = {to}\n" for name, to in names.items()) for group, names in groups]
    (metadata / "entry_points.txt").write_text("\n".join(sections))


class ReleasedCode:
    """The code in a folder, as commands with the settings of a deployment."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._folder, self._log = folder, log
        self._environment = {**environment, "PYTHONPATH": str(folder)}

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a command in the background; it dies with this process."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=self._folder,
                env={**self._environment, **settings},
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  # only a prctl
            )

    def run(self, *arguments: str, **settings: str) -> str:
        """Run a command to its end, and return what it prints. Raises AssertionError with its errors."""
        return self._completed(["-m", "cli.main", *arguments], settings)

    def execute(self, script: str, *arguments: str, **settings: str) -> str:
        """Execute a program that imports this code, and return what it prints. Raises AssertionError."""
        return self._completed(["-c", script, *arguments], settings)

    def _completed(self, arguments: list[str], settings: Mapping[str, str]) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env={**self._environment, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{self._folder.name} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout
