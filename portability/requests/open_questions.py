"""Which questions to a second person are open: one about transfers closes when none of them waits any more."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_, select

from portability.database import models
from portability.requests.states import ExportState, TransferState

TABLE, EXPORT, TRANSFER = models.approval, models.export, models.transfer
ABROAD = "abroad"
"""Cause of a question about a request, or about transfers of a ready export."""


def is_open() -> ColumnElement[bool]:
    """Return the condition: it is not decided, and there is still something to decide.

    A transfer that waits may end otherwise: its consent is withdrawn, its recipient removed, its archive deleted.
    """
    held = select(TRANSFER.c.id).where(
        TRANSFER.c.export_id == TABLE.c.export_id, TRANSFER.c.state == TransferState.HELD
    )
    asked = select(EXPORT.c.id).where(EXPORT.c.id == TABLE.c.export_id, EXPORT.c.state == ExportState.REVIEW)
    return and_(TABLE.c.state == "open", or_(TABLE.c.cause != ABROAD, held.exists(), asked.exists()))
