"""`size`: bytes of an archive, compared with `zip -1` of the same files."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.platform_archive import platform_archive


def measure(*, long: bool) -> Figure:
    """Measure bytes: the same in every run, so one run is enough."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        volume = platform_archive(folder, long=long).volume
        unpacked, packed = folder / "unpacked", folder / "packed.zip"
        subprocess.run(["unzip", "-qq", volume, "-d", unpacked], check=True)
        subprocess.run(["zip", "-1qrD", packed, volume.stem], check=True, cwd=unpacked)
        return Figure("size", volume.stat().st_size, packed.stat().st_size, 1.02, "bytes", 1)
