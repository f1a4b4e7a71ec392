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
        if moment.tzinfo is not None and last_id.replace("_", "").isalnum():
            return moment, last_id
    except (ValueError, binascii.Error):
        pass
    raise _invalid()


def encoded_in_part(part: int, at: datetime, last_id: str) -> str:
    """Return the cursor after a row of a list in two parts, 0 and 1."""
    return encoded(at, f"{part}{last_id}")


def decoded_in_part(cursor: str) -> tuple[int, datetime, str]:
    """Return the part, the time and the id of the row that a cursor of a list in two parts names. Raises BadInput."""
    at, last_id = decoded(cursor)
    if last_id[0] in "01":
        return int(last_id[0]), at, last_id[1:]
    raise _invalid()


def _invalid() -> BadInput:
    return BadInput("invalid cursor", hint="use `next` of the previous page, or start again without a cursor")
