"""The database's clock for what is asked at each request: the database itself is asked once a minute."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from sqlalchemy import Engine

from portability.database import deployment

ASKED_SECONDS = 60.0
"""How long the monotonic clock of this machine counts on from an answer of the database."""


class SteadyClock:
    """Tells the time of the database; the wall clock of this machine may be wrong, and may leap."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked: tuple[float, datetime] | None = None
        """When, by the monotonic clock, and what the database said."""

    def present(self) -> datetime:
        """Return the time of the database. Raises DatabaseUnavailable."""
        asked = self._asked
        if asked is None or time.monotonic() - asked[0] > ASKED_SECONDS:
            said = deployment.clock(self._engine)
            asked = self._asked = time.monotonic(), said
        return asked[1] + timedelta(seconds=time.monotonic() - asked[0])
