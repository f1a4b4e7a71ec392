"""Who writes a state at run time: the nearest module of the product that is on the stack."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from repository import PACKAGES, ROOT
from sqlalchemy import Update

STATEFUL: Mapping[str, str] = {
    "export": "state",
    "volume": "state",
    "transfer": "state",
    "transfer_copy": "state",
    "link": "revoked_at",
    "received_transfer": "state",
}
"""Tables with a state, and the column that has it."""
WRITER = ROOT / "portability" / "requests" / "transition.py"
INBOX_WRITER = ROOT / "portability" / "inbox" / "transition.py"


def check(statement: Update) -> None:
    """Raise AssertionError if a module of the product other than the one writer sets a state."""
    table = getattr(statement.table, "name", "")
    if STATEFUL[table] in {getattr(column, "name", column) for column in statement._values or ()}:
        nearest, writer = _nearest(), INBOX_WRITER if table == "received_transfer" else WRITER
        assert nearest in {None, writer}, f"{nearest} writes {table}.{STATEFUL[table]}: use {writer}"


def _nearest() -> Path | None:
    """The nearest file of the product on the stack; None where a test writes the row itself."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        package = path.relative_to(ROOT).parts[0] if path.is_relative_to(ROOT) else ""
        if package in PACKAGES:
            return path
        if package == "tests" and path.name not in {"conftest.py", Path(__file__).name}:
            return None
        frame = frame.f_back
    return None
