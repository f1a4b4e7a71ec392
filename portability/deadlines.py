"""When an export is due. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

EXPIRY_NOTICE = timedelta(hours=48)
"""How long before its archive is deleted a subject is told so."""

UU_PDP = timedelta(hours=72)
"""Access within 3 x 24 hours of receipt (UU PDP Art. 32(2)): the strictest regime, so it holds for all requests."""


def due_at(received_at: datetime) -> datetime:
    """The time by which an export must be ready, from the receipt of its request (aware UTC)."""
    return received_at + UU_PDP


def kept_until(ended_at: datetime, ttl_seconds: float) -> datetime:
    """Until when an archive is kept that became ready at a time."""
    return ended_at + timedelta(seconds=ttl_seconds)
