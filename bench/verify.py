"""`verify`: a volume checked by `portability verify`, in a separate process as its users start it.

Compared with `unzip -t` and then `sha256sum` of the same file, which detect neither an added nor an exchanged file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from workers import command

from bench.figures import Figure, interleaved, process_seconds
from bench.platform_archive import platform_archive


def measure(*, long: bool) -> Figure:
    """Measure seconds from start to exit of the processes, with their imports."""
    with tempfile.TemporaryDirectory() as name:
        archive = platform_archive(Path(name), long=long)
        volume = str(archive.volume)
        ours = command("verify", volume, "--jwks", str(archive.jwks))
        theirs = (["unzip", "-tqq", volume], ["sha256sum", volume])
        return interleaved(
            "verify",
            lambda: process_seconds(ours),
            lambda: sum(map(process_seconds, theirs)),
            target=0.5,
            n=3 if long else 5,
        )
