"""The quarantine: one private folder for each received transfer, from the first byte to the decision."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sqlalchemy import Engine

from portability.database.engine import reading
from portability.inbox import work

NAME = re.compile(r"rcv_[0-9a-f]{20}")


def folder_of(quarantine: Path, received_id: str) -> Path:
    """Return the folder of a received transfer, which only its owner can read."""
    quarantine.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = quarantine / received_id
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def sweep(engine: Engine, quarantine: Path) -> int:
    """Delete the folders of transfers that have left the quarantine, or are forgotten; returns how many."""
    # The folders are listed first: a transfer's row is older than its folder.
    folders = [path for path in quarantine.glob("rcv_*") if NAME.fullmatch(path.name) and not path.is_symlink()]
    with reading(engine) as connection:
        kept = work.quarantined(connection)
    gone = [path for path in folders if path.name not in kept]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return len(gone)
