"""Writes the golden archive of the frozen format: what `portability/1` was when it was frozen, in November 2026.

`PYTHONPATH=tests:tests/support .venv/bin/python tests/golden/make_frozen.py`

Never again: every later release verifies it, and writes all that it has. The private key is gone with the temporary
folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from frozen_export import frozen_archive

from archive.verify.archives import verify
from portability.trust.signing import Jwks

TARGET = Path(__file__).parent / "portability-1-frozen"


def write_frozen_archive() -> None:
    """Make it; fail if it does not verify."""
    TARGET.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        archive = frozen_archive(Path(folder))
        names = [Path(shutil.copy(volume, TARGET)).name for volume in archive.volumes]
        (TARGET / "jwks.json").write_text(json.dumps(archive.jwks, indent=1) + "\n")
    result = verify([TARGET / name for name in names], Jwks.parse(archive.jwks))
    assert result.ok
    case: dict[str, Any] = {"name": "access of a contact when the format was frozen", "volumes": names}
    case |= {
        "jwks": "jwks.json",
        "partial": False,
        "ok": True,
        "files": result.files,
        "bytes": result.bytes,
        "errors": [],
    }
    (TARGET / "cases.json").write_text(json.dumps([case], indent=1) + "\n")


if __name__ == "__main__":
    write_frozen_archive()
