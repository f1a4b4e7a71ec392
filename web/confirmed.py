"""One-time codes at a link's landing page: sent to the verified address, checked, remembered for a while."""

from __future__ import annotations

import time

from fastapi import Request
from sqlalchemy import RowMapping

CONFIRMED = "confirmed"
SENT = "sent"
CONFIRMED_SECONDS = 1800
KEPT = 5


def is_confirmed(request: Request, link: RowMapping) -> bool:
    """Whether this browser has shown the link's code, half an hour ago at the most."""
    until = request.session.get(CONFIRMED, {}).get(link["id"], 0)
    return bool(time.time() < until)


def confirm(request: Request, link: RowMapping) -> None:
    """Remember it. A session holds a few: a cookie is small."""
    kept = dict(list(request.session.get(CONFIRMED, {}).items())[-KEPT + 1 :])
    request.session[CONFIRMED] = {**kept, link["id"]: int(time.time()) + CONFIRMED_SECONDS}


def was_sent(request: Request, link: RowMapping) -> bool:
    """Whether this browser has asked for a code."""
    return bool(request.session.get(SENT) == link["id"])


def remember_sent(request: Request, link: RowMapping) -> None:
    """Show the field for the code."""
    request.session[SENT] = link["id"]
