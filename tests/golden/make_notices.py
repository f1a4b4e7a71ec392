"""Writes golden notices anew: `PYTHONPATH=tests .venv/bin/python tests/golden/make_notices.py`. Look at the changes."""

from __future__ import annotations

from pathlib import Path

import notices
import orjson

FOLDER = Path(__file__).parent / "notice"


def text(profile: str) -> bytes:
    """notice.json of the made-up export in one profile, as the repository keeps it."""
    return orjson.dumps(notices.made(profile), option=orjson.OPT_INDENT_2) + b"\n"


if __name__ == "__main__":
    for profile in notices.LEDGERS:
        (FOLDER / f"{profile}.json").write_bytes(text(profile))
