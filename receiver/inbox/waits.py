"""Logs that the receiving service waits: its import or undo takes turns with others into the platform's database."""

from __future__ import annotations

import structlog

log = structlog.get_logger()


def note(run: str, _sentence: str) -> None:
    """Log that an import, or its undo, waits until its turn. The sentence is for a person at a terminal."""
    log.info("inbox.import_waits", **{"import": run})
