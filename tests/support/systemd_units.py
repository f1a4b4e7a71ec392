"""The units of deploy/systemd under a systemd of their own: the first process of its own PID namespace (Linux, root).

It has a control group and mounts of its own, and knows no other units: only the targets that they need. A drop-in names
what a machine for tests lacks: the account, the folder of the installed release, and the file of settings.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repository import ROOT
from workers import until

UNITS = ROOT / "deploy" / "systemd"
GROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
TARGETS = ("sysinit.target", "basic.target", "shutdown.target", "network-online.target", "multi-user.target")
FOLDER = "/run/systemd/system"
BEGIN = """
set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p {folder}
cp -r {units}/. {folder}/
export SYSTEMD_UNIT_PATH={folder} SYSTEMD_LOG_TARGET=console container=tests
exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=no
"""


@dataclass(frozen=True, slots=True)
class StartedUnits:
    """Units that a systemd has started."""

    folder: Path
    group: Path

    def pid(self, unit: str) -> int:
        """Return the main process of a unit, by the namespace's number; 0 until it has reported that it is ready."""
        found = self.folder / f"{unit}.pid"
        return int(found.read_text() or 0) if found.exists() else 0

    def kill(self, unit: str) -> None:
        """Kill all processes of a unit at once."""
        (own,) = self.group.rglob(f"{unit}.service")
        for pid in (own / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


def groups() -> Path | None:
    """Return the folder of the control groups, version 2; None: this machine has none that a process may divide."""
    return next((path for path in GROUPS if (path / "cgroup.controllers").exists() and os.access(path, os.W_OK)), None)


@contextmanager
def started(
    folder: Path, units: Sequence[str], settings: Mapping[str, str], shared: Sequence[Path]
) -> Iterator[StartedUnits]:
    """Start units with settings; `folder` and the `shared` folders are those that their processes may write."""
    written = folder / "units"
    _write(written, folder, units, settings, shared)
    if (root := groups()) is None:
        raise OSError("no control groups of version 2 that this process may divide")
    group = root / f"portability-{secrets.token_hex(4)}"
    (group / "init").mkdir(parents=True)
    begin = BEGIN.format(folder=FOLDER, units=shlex.quote(str(written)))
    namespaces = "--mount --uts --ipc --pid --cgroup --fork --kill-child --mount-proc"
    inside = f"echo $$ > {group}/init/cgroup.procs; exec unshare {namespaces} sh -c {shlex.quote(begin)}"
    with (folder / "systemd.log").open("wb") as log:
        process = subprocess.Popen(["sh", "-c", inside], stdout=log, stderr=log, start_new_session=True)
    try:
        yield StartedUnits(folder, group)
    finally:
        process.kill()
        process.wait()
        _remove(group)


def _write(
    written: Path, folder: Path, units: Sequence[str], settings: Mapping[str, str], shared: Sequence[Path]
) -> None:
    written.mkdir()
    program = folder / "portability"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
    program.chmod(0o755)
    environment = folder / "portability.env"
    environment.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for path in UNITS.glob("*.service"):
        commands = [line for line in path.read_text().splitlines() if line.startswith("ExecStart=")]
        command = commands[0].replace("/opt/portability/.venv/bin/portability", str(program))
        (written / path.name).write_text(path.read_text())
        dropped = written / f"{path.name}.d"
        dropped.mkdir()
        lines = ["[Service]", "User=root", "ProtectHome=no", "EnvironmentFile=", f"EnvironmentFile={environment}"]
        lines += ["ExecStart=", command, f"WorkingDirectory={ROOT}"]
        # A checkout may be in a folder that the units do not see, such as /tmp.
        lines += [f"BindReadOnlyPaths={each}" for each in (ROOT, sys.prefix)]
        lines += [f"BindPaths={each}" for each in (folder, *shared)]
        lines += [f"StandardOutput=append:{folder}/%N.log", "StandardError=inherit"]
        if "Type=notify" in path.read_text():
            lines += [f"ExecStartPost=/bin/sh -c 'echo $MAINPID > {folder}/%N.pid'"]
        (dropped / "test.conf").write_text("\n".join(lines) + "\n")
    for name in TARGETS:
        (written / name).write_text("[Unit]\nDefaultDependencies=no\n")
    (written / "multi-user.target").write_text(
        f"[Unit]\nDefaultDependencies=no\nWants={' '.join(f'{unit}.service' for unit in units)}\n"
    )


def _remove(group: Path) -> None:
    """Remove a control group whose processes have been killed, with those below it, as soon as they have ended."""
    until(lambda: "populated 0" in (group / "cgroup.events").read_text(), "all processes of the units have ended")
    for path in sorted(group.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    group.rmdir()
