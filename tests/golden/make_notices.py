"""Writes golden notices again; look at the changes.

`PYTHONPATH=tests:tests/support .venv/bin/python tests/golden/make_notices.py`
"""

from __future__ import annotations

from pathlib import Path

import notices
import orjson

FOLDER = Path(__file__).parent / "notice"


def text(profile: str) -> bytes:
    """Return notice.json of the made-up export in one profile, as stored in the repository: in one language."""
    made = orjson.loads(orjson.dumps(notices.made_notice(profile)))
    return orjson.dumps(notices.in_source(made), option=orjson.OPT_INDENT_2) + b"\n"


if __name__ == "__main__":
    for profile in notices.LEDGERS:
        (FOLDER / f"{profile}.json").write_bytes(text(profile))
