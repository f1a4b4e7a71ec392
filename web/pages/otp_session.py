"""One-time codes in the session of a landing page: whether a code was sent, and whether one was confirmed."""

from __future__ import annotations

import time

from fastapi import Request
from sqlalchemy import RowMapping

from portability.trust.signing import SKEW_SECONDS

CONFIRMED = "confirmed"
SENT = "sent"
CONFIRMED_SECONDS = 1800
KEPT = 5


def is_confirmed(request: Request, link: RowMapping) -> bool:
    """Return whether this browser has entered the link's code within the last half hour."""
    until = int(request.session.get(CONFIRMED, {}).get(link["id"], 0))
    # Another machine may have confirmed it, whose clock is ahead.
    return 0 < until - time.time() < CONFIRMED_SECONDS + SKEW_SECONDS


def confirm(request: Request, link: RowMapping) -> None:
    """Remember that the code was right. A session keeps the last few links: a cookie is small."""
    kept = dict(list(request.session.get(CONFIRMED, {}).items())[-KEPT + 1 :])
    request.session[CONFIRMED] = {**kept, link["id"]: int(time.time()) + CONFIRMED_SECONDS}


def was_sent(request: Request, link: RowMapping) -> bool:
    """Return whether this browser has requested a code for the link."""
    return bool(request.session.get(SENT) == link["id"])


def remember_sent(request: Request, link: RowMapping) -> None:
    """Remember that a code was sent: the page then shows the field for it."""
    request.session[SENT] = link["id"]
