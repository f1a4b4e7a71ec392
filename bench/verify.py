"""`verify`: a volume checked by `portability verify`, in a separate process as its users start it.

Compared with `unzip -t` and then `sha256sum` of the same file, which detect neither an added nor an exchanged file.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from workers import command

from bench.figures import Figure, interleaved
from bench.platform_archive import platform_archive


def measure(*, long: bool) -> Figure:
    """Measure seconds from start to exit of the processes, with their imports."""
    with tempfile.TemporaryDirectory() as name:
        archive = platform_archive(Path(name), long=long)
        volume = str(archive.volume)
        ours = command("verify", volume, "--jwks", str(archive.jwks))
        theirs = (["unzip", "-tqq", volume], ["sha256sum", volume])
        return interleaved(
            "verify", lambda: _seconds(ours), lambda: sum(map(_seconds, theirs)), target=1.0, n=3 if long else 5
        )


def _seconds(program: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
