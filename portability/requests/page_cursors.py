"""Cursors of pages: the time and the id of the last row of a page, as one word."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from portability.api.errors import BadInput


def encoded(at: datetime, last_id: str) -> str:
    """Return the cursor after a row."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {last_id}".encode()).decode().rstrip("=")


def decoded(cursor: str) -> tuple[datetime, str]:
    """Return the time (aware) and the id of the row that a cursor names. Raises BadInput."""
    try:
        named = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        at, _, last_id = named.partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is not None and last_id.isalnum():
            return moment, last_id
    except (ValueError, binascii.Error):
        pass
    raise BadInput("invalid cursor", hint="use `next` of the previous page, or start again without a cursor")
